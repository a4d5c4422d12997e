"""Task 4's pipeline: order batches, products, a daily summary.

In: the task's clean data and transforms. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.tables.spec import PipelineSpec, Product, Rollup

from . import data
from .transforms import daily_summary

PIPELINE = PipelineSpec(
    generate=data.generate,
    transforms={"daily_summary": daily_summary},
    sums={
        "orders": Product("revenue", "quantity", via="product_id", price="unit_price"),
        "daily_summary": Rollup(
            "order_count", "total_revenue", amount="revenue", moment="event_ts", every="D", via="product_id"
        ),
    },
)
