"""Task 3's derived table: what each order comes to.

In: repaired tables. Out: the derived table in contract types. The asset, the checks that reconcile and the reference
tables all call the same function, so that a derived table is right exactly when its inputs are and it is fresh.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.tables.frames import from_arrow, to_arrow
from mario_dagster.tables.transforms import require

from .task import ORDERS, PRODUCTS


def order_totals(orders: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """What each order comes to, over orders of products that the shop sells; nothing where the quantity is missing.

    Returns:
        One row an order, in the orders' order; columns of the `order_totals` contract.

    Raises:
        TransformError: a column is missing or in another type than its contract's.
    """
    require(orders, ORDERS, "order_id", "product_id", "quantity")
    require(products, PRODUCTS, "product_id", "unit_price")
    rows, listed = to_arrow(orders), to_arrow(products)
    # A product that is listed twice has the price of its first row.
    place = pc.index_in(
        rows.column("product_id"), value_set=listed.column("product_id").combine_chunks(), skip_nulls=True
    )
    sold = pc.is_valid(place)
    # In whole cents: a product of float prices may be a hair off what an invoice says.
    cents = pc.round(pc.multiply(listed.column("unit_price").take(place.filter(sold)), 100.0))
    totals = pc.divide(pc.multiply(cents, rows.column("quantity").filter(sold).cast(pa.float64())), 100.0)
    return from_arrow(pa.table({"order_id": rows.column("order_id").filter(sold), "total_price": totals}))
