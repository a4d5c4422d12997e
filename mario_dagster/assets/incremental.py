"""Task 4's pipeline: order batches, a product list, a daily summary.

In: `INCREMENTAL` of the catalogue. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.catalog.incremental import INCREMENTAL

from .pipeline import build
from .transforms import daily_summary

PIPELINE = build(INCREMENTAL, {"daily_summary": daily_summary})
