"""Task 3's pipeline: orders, customers and products, each one snapshot, and what every order comes to.

In: `REFERENTIAL` of the catalogue. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.catalog.referential import REFERENTIAL

from .pipeline import build
from .transforms import order_totals

PIPELINE = build(REFERENTIAL, {"order_totals": order_totals})
