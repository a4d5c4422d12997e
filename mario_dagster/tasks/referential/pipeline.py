"""Task 3's pipeline: orders, the customers and products they refer to, and what each order comes to.

In: the task's clean data and transforms. Out: `BLUEPRINT`.
"""

from __future__ import annotations

from mario_dagster.tables.spec import Blueprint, Product, Totals

from . import data
from .transforms import order_totals

BLUEPRINT = Blueprint(
    world=data.world,
    transforms={"order_totals": order_totals},
    sums={"order_totals": Totals(Product("total_price", "quantity", via="product_id", price="unit_price"))},
)
