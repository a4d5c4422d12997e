"""Task 3's pipeline: orders, the customers and products they refer to, and what each order comes to.

In: the task's clean data and transforms. Out: `PIPELINE`.
"""

from __future__ import annotations

from mario_dagster.tables.spec import PipelineSpec, Product, Totals

from . import data
from .transforms import order_totals

PIPELINE = PipelineSpec(
    generate=data.generate,
    transforms={"order_totals": order_totals},
    sums={"order_totals": Totals(Product("total_price", "quantity", via="product_id", price="unit_price"))},
)
