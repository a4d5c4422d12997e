"""Task 5's pipeline: late order batches, a product catalogue, an hourly rollup.

In: `TEMPORAL` of the catalogue. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.catalog.temporal import TEMPORAL

from .pipeline import build
from .transforms import hourly_rollup

PIPELINE = build(TEMPORAL, {"hourly_rollup": hourly_rollup})
