"""Task 4's derived table: orders and revenue by day.

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


def daily_summary(orders: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """Orders and revenue by UTC day of event time, over orders of listed products.

    Returns:
        One row a day that has orders, ascending; columns of the `daily_summary` contract.

    Raises:
        TransformError: a column is missing or in another type than its contract's.
    """
    require(orders, ORDERS, "product_id", "event_ts", "revenue")
    require(products, PRODUCTS, "product_id")
    rows = to_arrow(orders[["product_id", "event_ts", "revenue"]])
    known = pc.is_in(rows["product_id"], value_set=to_arrow(products[["product_id"]])["product_id"].drop_null())
    rows = rows.filter(pc.and_(known, rows["event_ts"].is_valid()))
    # Summed in whole cents: the same revenue whatever the row order.
    cents = pc.cast(pc.round(pc.multiply(rows["revenue"], 100)), pa.int64())
    dates = pc.cast(pc.floor_temporal(rows["event_ts"], unit="day"), pa.date32())
    days = pa.table({"event_date": dates, "cents": cents})
    grouped = days.group_by("event_date").aggregate([([], "count_all"), ("cents", "sum")]).sort_by("event_date")
    return from_arrow(
        pa.table(
            {
                "event_date": grouped["event_date"],
                "order_count": grouped["count_all"],
                "total_revenue": pc.divide(pc.cast(grouped["cents_sum"].fill_null(0), pa.float64()), 100),
            }
        )
    )
