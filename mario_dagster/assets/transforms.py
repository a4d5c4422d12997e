"""What derived tables are computed as: pure functions of the tables upstream.

In: repaired tables. Out: the derived table in contract types. The assets, the checks that reconcile and the twin all
call the same functions, so that a derived table is right exactly when its inputs are and it is fresh.
"""

from __future__ import annotations

import pandas as pd

from mario_dagster.catalog import Table
from mario_dagster.catalog.temporal import CATALOG, HOURLY_ROLLUP, SOURCE_ORDERS

from .frames import canonical, column_type


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
    orders = source_orders[source_orders["product_id"].isin(catalog["product_id"].dropna())]
    hours = orders["event_ts"].dt.floor("h").rename("hour_bucket")
    grouped = orders["gross_revenue"].groupby(hours, sort=True)
    # Summed in whole cents: the same revenue whatever the row order.
    revenue = (orders["gross_revenue"] * 100).round().groupby(hours, sort=True).sum() / 100
    rollup = pd.DataFrame({"order_count": grouped.size(), "gross_revenue": revenue}).reset_index()
    return canonical(rollup, HOURLY_ROLLUP)


def require(frame: pd.DataFrame, table: Table, *columns: str) -> None:
    """Raise a `TransformError` unless the frame has these columns of the table, in their contract types."""
    for name in columns:
        if name not in frame.columns:
            raise TransformError(f"{table.name} has no column '{name}'; it has {', '.join(map(str, frame.columns))}")
        expected, actual = table.column(name).type, column_type(frame[name])
        if actual != expected:
            raise TransformError(f"{table.name}.{name} is {actual}, not {expected}")
