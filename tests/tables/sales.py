"""A table of sales with a column of each type, and a repair of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
from hypothesis import settings

from mario_dagster.core.action import Action
from mario_dagster.core.task import Column, ColumnType, Table
from mario_dagster.tables import repairs
from mario_dagster.tables.frames import ARROW

lean = settings(max_examples=40, deadline=None)

SALES = Table(
    name="sales",
    key="sale_id",
    columns=(
        Column("sale_id", "int64", minimum=1),
        Column("quantity", "int64", minimum=1, maximum=60),
        Column("amount", "float64", minimum=0.01, maximum=100_000, skewed=True),
        Column("city", "string"),
        Column("status", "string", categories=("Paid", "open", "refunded")),
        Column("sold_at", "timestamp"),
        Column("due", "date"),
    ),
)
NOON = datetime(2026, 3, 29, 12, 0, 5, tzinfo=UTC)


def column(values: Iterable[Any], kind: ColumnType = "string") -> pd.Series:
    return pd.Series(list(values), dtype=ARROW[kind])


def frame(**changes: pd.Series) -> pd.DataFrame:
    """Four sales, in contract types; `changes` takes the place of whole columns."""
    columns = {
        "sale_id": column([11, 12, 13, 14], "int64"),
        "quantity": column([1, 2, 3, 4], "int64"),
        "amount": column([10.5, 20.25, 31.0, 12.75], "float64"),
        "city": column(["Oslo", "Café Noir", "São Paulo", "Lima"]),
        "status": column(["Paid", "open", "refunded", "open"]),
        "sold_at": column([NOON + timedelta(hours=hour) for hour in range(4)], "timestamp"),
        "due": column([date(2026, 4, day) for day in (1, 2, 3, 4)], "date"),
    }
    return pd.DataFrame(columns | changes)


def after(action: Any, target: str | None = None, data: pd.DataFrame | None = None, **fields: Any) -> pd.DataFrame:
    return repairs.apply(Action.named(action, target, **fields), frame() if data is None else data, SALES)


def cast(action: Any, values: Sequence[Any], target: str = "city") -> list[Any]:
    done = after(action, target, pd.DataFrame({target: column(values)}))[target]
    return [None if value is pd.NA else value for value in done.tolist()]
