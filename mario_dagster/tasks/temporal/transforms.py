"""Task 5's derived table: orders and revenue by hour.

In: repaired tables. Out: the derived table in contract types. The asset, the checks that reconcile and the reference
tables all call the same function, so that a derived table is right exactly when its inputs are and it is fresh.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.tables.frames import from_arrow, to_arrow
from mario_dagster.tables.transforms import require

from .task import CATALOG, SOURCE_ORDERS


def hourly_rollup(source_orders: pd.DataFrame, catalog: pd.DataFrame) -> pd.DataFrame:
    """Orders and revenue by hour of event time, over orders of catalogued products.

    Returns:
        One row an hour that has orders, ascending; columns of the `hourly_rollup` contract.

    Raises:
        TransformError: a column is missing or in another type than its contract's.
    """
    require(source_orders, SOURCE_ORDERS, "product_id", "event_ts", "gross_revenue")
    require(catalog, CATALOG, "product_id")
    orders = to_arrow(source_orders[["product_id", "event_ts", "gross_revenue"]])
    known = pc.is_in(orders["product_id"], value_set=to_arrow(catalog[["product_id"]])["product_id"].drop_null())
    orders = orders.filter(pc.and_(known, orders["event_ts"].is_valid()))
    # Summed in whole cents: the same revenue whatever the row order.
    cents = pc.cast(pc.round(pc.multiply(orders["gross_revenue"], 100)), pa.int64())
    hours = pa.table({"hour_bucket": pc.floor_temporal(orders["event_ts"], unit="hour"), "cents": cents})
    grouped = hours.group_by("hour_bucket").aggregate([([], "count_all"), ("cents", "sum")]).sort_by("hour_bucket")
    return from_arrow(
        pa.table(
            {
                "hour_bucket": grouped["hour_bucket"],
                "order_count": grouped["count_all"],
                "gross_revenue": pc.divide(pc.cast(grouped["cents_sum"].fill_null(0), pa.float64()), 100),
            }
        )
    )
