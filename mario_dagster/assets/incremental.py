"""Task 4's pipeline: order batches, products, a daily summary.

In: the task's clean data and transforms. Out: `BLUEPRINT`.
"""

from __future__ import annotations

from . import shop_incremental
from .blueprint import Blueprint, Product, Rollup
from .transforms_incremental import daily_summary

BLUEPRINT = Blueprint(
    world=shop_incremental.world,
    transforms={"daily_summary": daily_summary},
    sums={
        "orders": Product("revenue", "quantity", via="product_id", price="unit_price"),
        "daily_summary": Rollup(
            "order_count", "total_revenue", amount="revenue", moment="event_ts", every="D", via="product_id"
        ),
    },
)
