"""What derived tables are computed as: pure functions of the tables upstream.

In: repaired tables. Out: the derived table in contract types. The assets, the checks that reconcile and the twin all
call the same functions, so that a derived table is right exactly when its inputs are and it is fresh.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.catalog import Table, incremental, referential
from mario_dagster.catalog.temporal import CATALOG, SOURCE_ORDERS

from .frames import column_type, from_arrow, to_arrow


class TransformError(ValueError):
    """An input does not have the columns or types that a transform reads."""


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


def order_totals(orders: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """What each order comes to, over orders of products that the shop sells; nothing where the quantity is missing.

    Returns:
        One row an order, in the orders' order; columns of the `order_totals` contract.

    Raises:
        TransformError: a column is missing or in another type than its contract's.
    """
    require(orders, referential.ORDERS, "order_id", "product_id", "quantity")
    require(products, referential.PRODUCTS, "product_id", "unit_price")
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


def daily_summary(orders: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """Orders and revenue by UTC day of event time, over orders of listed products.

    Returns:
        One row a day that has orders, ascending; columns of the `daily_summary` contract.

    Raises:
        TransformError: a column is missing or in another type than its contract's.
    """
    require(orders, incremental.ORDERS, "product_id", "event_ts", "revenue")
    require(products, incremental.PRODUCTS, "product_id")
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


def require(frame: pd.DataFrame, table: Table, *columns: str) -> None:
    """Raise a `TransformError` unless the frame has these columns of the table, in their contract types."""
    for name in columns:
        if name not in frame.columns:
            raise TransformError(f"{table.name} has no column '{name}'; it has {', '.join(map(str, frame.columns))}")
        expected, actual = table.column(name).type, column_type(frame[name])
        if actual != expected:
            raise TransformError(f"{table.name}.{name} is {actual}, not {expected}")
