"""Task 5's pipeline: late order batches, a product catalogue, an hourly rollup.

In: the task's clean data and transforms. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.tables.spec import PipelineSpec, Product, Rollup

from . import data
from .transforms import hourly_rollup

PIPELINE = PipelineSpec(
    generate=data.generate,
    transforms={"hourly_rollup": hourly_rollup},
    sums={
        "source_orders": Product("gross_revenue", "quantity", via="product_id", price="unit_price"),
        "hourly_rollup": Rollup(
            "order_count", "gross_revenue", amount="gross_revenue", moment="event_ts", every="h", via="product_id"
        ),
    },
)
