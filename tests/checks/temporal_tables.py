"""Clean tables of task 5, ways to spoil them, and the checks that look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow

from mario_dagster.checks.facts import Check, checks_for
from mario_dagster.checks.outcome import CheckContext, Outcome
from mario_dagster.core.registry import task
from mario_dagster.core.task import ColumnType
from mario_dagster.tables.frames import ARROW, as_type, canonical
from mario_dagster.tasks.temporal.transforms import hourly_rollup

TASK = task("temporal")
ORDERS, CATALOG, ROLLUP = TASK.tables
CHECKS = {check.name: check for check in checks_for(TASK)}
FACTS = {name: check for name, check in CHECKS.items() if check.kind != "audit"}
Tables = dict[str, pd.DataFrame]


def clean_tables() -> Tables:
    prices = [9.5, 12.0, 14.99, 16.25, 11.1]
    catalog = pd.DataFrame(
        {
            "product_id": range(11, 16),
            "product_name": ["Café au lait", "Desk lamp", "Hose", "Router", "Toy car"],
            "unit_price": prices,
            "category": ["kitchen", "office", "garden", "iot", "toys"],
        }
    )
    start = pd.Timestamp("2026-03-01T08:05:00Z")
    rows = [
        (100 + i, f"t{1 + i // 8:02d}", 11 + i % 5, 1 + i % 4, start + pd.Timedelta(minutes=11 * i), prices[i % 5])
        for i in range(24)
    ]
    orders = pd.DataFrame(rows, columns=list(ORDERS.column_names))
    orders["gross_revenue"] = (orders["gross_revenue"] * orders["quantity"]).round(2)
    orders, catalog = canonical(orders, ORDERS), canonical(catalog, CATALOG)
    return {"source_orders": orders, "catalog": catalog, "hourly_rollup": hourly_rollup(orders, catalog)}


def check_context(tables: Tables | None = None, **changes: Any) -> CheckContext:
    found = CheckContext(
        task=TASK,
        tables=clean_tables() if tables is None else tables,
        landed={"t01": 8, "t02": 8, "t03": 8},
        pending=(),
        stale=frozenset(),
        declared={"catalog": 5},
    )
    return replace(found, **changes)


def failing(found: CheckContext, checks: dict[str, Check] = FACTS) -> dict[str, Outcome]:
    outcomes = {name: check.evaluate(found) for name, check in checks.items()}
    return {name: outcome for name, outcome in outcomes.items() if not outcome.passed}


def put(tables: Tables, table: str, column: str, values: dict[int, Any], kind: ColumnType | None = None) -> None:
    """Overwrite cells; `kind` changes the column's type."""
    frame = tables[table].copy()
    arrow = ARROW[kind].pyarrow_dtype if kind else pyarrow.array(frame[column].array).type
    cells = [values.get(index, cell) for index, cell in enumerate(frame[column].astype(object))]
    cells = [None if cell is None or cell is pd.NA else str(cell) if kind == "string" else cell for cell in cells]
    frame[column] = pd.Series(pd.arrays.ArrowExtensionArray(pyarrow.array(cells, arrow)), index=frame.index)
    tables[table] = frame


CONTRACT, ROLLUP_OFF = "source_orders_meets_its_contract", "rollup_reconciles_with_source"
Defect = tuple[str, Callable[[Tables], None], dict[str, set[str]]]


def rename(table: str, **names: str) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: tables[table].rename(columns=names)})


def rows(table: str, select: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: select(tables[table]).reset_index(drop=True)})


def cells(table: str, column: str, values: dict[int, Any], kind: ColumnType | None = None) -> Callable[[Tables], None]:
    return lambda tables: put(tables, table, column, values, kind)


def scaled(table: str, factor: float) -> Callable[[Tables], None]:
    return rows(table, lambda frame: frame.assign(gross_revenue=as_type(frame["gross_revenue"] * factor, "float64")))


def invent(frame: pd.DataFrame) -> pd.DataFrame:
    """One more order, of a plausible kind."""
    return pd.concat([frame, frame.head(1).assign(order_id=as_type(pd.Series([999]), "int64"))])
