"""Task 1's pipeline: one snapshot of customers, nothing derived from it.

In: `INGESTION` of the catalogue. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.catalog.ingestion import INGESTION

from .pipeline import build

PIPELINE = build(INGESTION, {})
