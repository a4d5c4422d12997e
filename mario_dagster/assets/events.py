"""Task 2's pipeline: one snapshot of payment events, nothing derived from it.

In: `EVENTS` of the catalogue. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.catalog.events import EVENTS

from .pipeline import build

PIPELINE = build(EVENTS, {})
