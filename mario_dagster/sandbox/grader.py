"""The score: tables compared with the twin, cell by cell, and the pipeline's state compared with a healthy one.

In: tables as stored, the twin, the cells that are lost, the state of backlog, freshness and pool. Out: a `Grade`. Pure:
no Dagster, no files. Everything is computed again from the tables; no check result is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.assets.frames import ARROW, column_type, to_arrow
from mario_dagster.assets.transforms import order_totals
from mario_dagster.catalog import Column, Table, Task

TABLE_WEIGHTS: Mapping[str, float] = {"completeness": 0.20, "validity": 0.20, "consistency": 0.30, "accuracy": 0.30}
# Money is kept in cents: two amounts closer than half a cent are the same amount.
CENT = 0.005
LOST_IQRS = 1.5
# (key as text, column) of cells whose value is nowhere any more.
LostCells = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class PipelineState:
    """What the score needs of the world besides its tables.

    Args:
        loaded, pending: batches that are materialized, and that are not.
        lag_minutes: age of the oldest landed data that derived tables do not show.
        stale: a derived table is older than its inputs.
        workers, required_workers: slots of the pool, and what the backlog takes.
        late: batches that were pending when the incident struck.
    """

    loaded: int = 0
    pending: int = 0
    lag_minutes: float = 0.0
    stale: bool = False
    workers: int = 0
    required_workers: int = 0
    late: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What the grader holds against the tables: the twin, and the cells whose value is nowhere."""

    tables: Mapping[str, pd.DataFrame]
    lost: Mapping[str, LostCells] = field(default_factory=dict)


@dataclass(frozen=True)
class Grade:
    """A score with its parts.

    Args:
        score: 0 to 1, raw: what success is decided on.
        parts: the task's objectives, 0 to 1 each; weighted they add up to the score.
        tables: table -> its own score.
    """

    score: float
    parts: Mapping[str, float]
    tables: Mapping[str, float]

    @property
    def shown(self) -> float:
        """The score as players see it: clamped to 0.01 to 0.99, four decimals."""
        return round(min(0.99, max(0.01, self.score)), 4)


def grade(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float] | None = None,
) -> Grade:
    """Score a task's tables and state against the truth.

    Args:
        scores: the tables' own scores, where the caller has them.
    """
    scores = scores or table_scores(task, tables, truth)
    parts = OBJECTIVES[task.slug](task, tables, truth, state, scores)
    total = sum(task.objective_weights[name] * value for name, value in parts.items())
    return Grade(float(total), {name: float(value) for name, value in parts.items()}, scores)


def table_scores(task: Task, tables: Mapping[str, pd.DataFrame], truth: Truth) -> dict[str, float]:
    """Each table's own score."""
    return {
        table.name: table_score(
            table, tables.get(table.name), truth.tables[table.name], truth.lost.get(table.name, frozenset())
        )
        for table in task.tables
    }


# --- one table --------------------------------------------------------------------------------------------------------


def table_score(table: Table, frame: pd.DataFrame | None, twin: pd.DataFrame, lost: LostCells = frozenset()) -> float:
    """One table's score, 0 to 1: weighted completeness, validity, consistency and accuracy."""
    parts = table_parts(table, frame, twin, lost)
    return sum(TABLE_WEIGHTS[name] * value for name, value in parts.items())


def table_parts(
    table: Table, frame: pd.DataFrame | None, twin: pd.DataFrame, lost: LostCells = frozenset()
) -> dict[str, float]:
    """The four parts of a table's score, 0 to 1 each.

    All are shares of the larger of the two tables, so that lost rows and invented rows both cost in every part.
    """
    if frame is None or frame.empty or len(frame.columns) == 0:
        return dict.fromkeys(TABLE_WEIGHTS, 0.0)
    held, true = to_arrow(frame), to_arrow(twin)
    rows = max(len(frame), len(twin))
    present = valid = 0
    for column in table.columns:
        if column.name in held.column_names:
            present += rows_of(held) - held.column(column.name).null_count
            valid += count(valid_cells(held.column(column.name), column))
    pairs = align(table, held, true)
    cells = rows * len(table.columns)
    return {
        "completeness": present / cells,
        "validity": valid / cells,
        "consistency": pairs.matched / rows if pairs else 0.0,
        "accuracy": _accuracy(table, pairs, true, lost) if pairs else 0.0,
    }


@dataclass(frozen=True)
class Pairs:
    """Rows of a stored table and of the twin that have the same key, side by side.

    Args:
        union: keys that are in either table.
    """

    held: pa.Table
    true: pa.Table
    union: int

    @property
    def matched(self) -> int:
        return rows_of(self.true)


def align(table: Table, held: pa.Table, true: pa.Table) -> Pairs | None:
    """Stored rows beside the twin's of the same key; of a key that occurs twice, the first counts.

    None when the key column is missing or in another type: rows that cannot be told apart match nothing.
    """
    if not has_type(held, table.column(table.key)):
        return None
    keys = held.column(table.key).combine_chunks()
    place = pc.index_in(true.column(table.key), value_set=keys, skip_nulls=True)
    found = pc.is_valid(place)
    distinct = pc.count_distinct(keys, mode="only_valid").as_py()
    matched = count(found)
    return Pairs(held.take(place.filter(found)), true.filter(found), true.num_rows + distinct - matched)


def has_type(held: pa.Table, column: Column) -> bool:
    """The column is there, in its contract's type."""
    return column.name in held.column_names and held.schema.field(column.name).type.equals(
        ARROW[column.type].pyarrow_dtype
    )


def valid_cells(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Which cells have the contract's type and lie in its range, pattern or categories; null is not valid."""
    if not values.type.equals(ARROW[column.type].pyarrow_dtype):
        return pa.chunked_array([pa.nulls(len(values), pa.bool_()).fill_null(False)])
    good = pc.is_valid(values)
    if column.minimum is not None:
        good = pc.and_(good, pc.greater_equal(values, column.minimum).fill_null(False))
    if column.maximum is not None:
        good = pc.and_(good, pc.less_equal(values, column.maximum).fill_null(False))
    if column.categories:
        good = pc.and_(good, pc.is_in(values, value_set=pa.array(column.categories)))
    if column.pattern:
        good = pc.and_(good, pc.match_substring_regex(values, f"^(?:{column.pattern})$").fill_null(False))
    return good


def right_cells(pairs: Pairs, column: Column) -> pa.ChunkedArray:
    """Which cells of aligned rows hold the truth."""
    if not has_type(pairs.held, column):
        return pa.chunked_array([pa.nulls(pairs.matched, pa.bool_()).fill_null(False)])
    here, there = pairs.held.column(column.name), pairs.true.column(column.name)
    if column.type == "float64":
        return pc.less(pc.abs(pc.subtract(here, there)), CENT).fill_null(False)
    return pc.equal(here, there).fill_null(False)


def plausible_cells(values: pa.ChunkedArray, clean: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """What a lost value may be replaced by: in the clean column's median ± 1.5 IQR, or a valid category."""
    good = valid_cells(values, column)
    if not column.is_number or not values.type.equals(ARROW[column.type].pyarrow_dtype):
        return good
    low, middle, high = pc.quantile(clean, q=[0.25, 0.5, 0.75]).to_pylist()
    reach = LOST_IQRS * (high - low)
    near = pc.and_(pc.greater_equal(values, middle - reach), pc.less_equal(values, middle + reach)).fill_null(False)
    return pc.and_(good, near)


def _accuracy(table: Table, pairs: Pairs, true: pa.Table, lost: LostCells) -> float:
    """Share of right cells over the union of keys."""
    right = 0
    for column in table.columns:
        good = right_cells(pairs, column)
        gone = [key for key, name in lost if name == column.name]
        if gone and column.name in pairs.held.column_names:
            keys = pc.cast(pairs.true.column(table.key), pa.string())
            allowed = plausible_cells(pairs.held.column(column.name), true.column(column.name), column)
            good = pc.or_(good, pc.and_(pc.is_in(keys, value_set=pa.array(gone)), allowed))
        right += count(good)
    return right / (pairs.union * len(table.columns)) if pairs.union else 0.0


def count(mask: pa.ChunkedArray | pa.Array) -> int:
    """How many are true."""
    return int(pc.sum(mask).as_py() or 0)


def rows_of(table: pa.Table) -> int:
    return int(table.num_rows)


# --- a task's objectives ----------------------------------------------------------------------------------------------


def table_objectives(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float],
) -> dict[str, float]:
    """Tasks 1 and 2: the parts of their one table's own score."""
    table = task.main_table
    lost = truth.lost.get(table.name, frozenset())
    return table_parts(table, tables.get(table.name), truth.tables[table.name], lost)


def referential_objectives(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float],
) -> dict[str, float]:
    """Task 3's parts of the score, each 0 to 1.

    Weighted they are quality * (0.30 + 0.70 * share of right totals): three parts share the first term, the last part
    is the whole second one, so that right totals of wrong tables, and wrong totals of right ones, are worth little.
    """
    quality = 0.50 * scores["orders"] + 0.30 * scores["customers"] + 0.20 * scores["products"]
    totals = same_rows(task.table("order_totals"), tables.get("order_totals"), _due_totals(task, tables, truth))
    return {
        "orders_quality": scores["orders"],
        "customers_quality": scores["customers"],
        "products_quality": scores["products"],
        "dependency_consistency": quality * totals,
    }


def _due_totals(task: Task, tables: Mapping[str, pd.DataFrame], truth: Truth) -> pd.DataFrame:
    """The totals that are right: the twin's; where an order's quantity is lost, what a plausible stand-in comes to."""
    orders, twin = task.table("orders"), truth.tables["orders"]
    gone = [key for key, name in truth.lost.get(orders.name, ()) if name == "quantity"]
    pairs = align(orders, to_arrow(tables.get(orders.name, pd.DataFrame())), to_arrow(twin)) if gone else None
    if pairs is None or "quantity" not in pairs.held.column_names:
        return truth.tables["order_totals"]
    keys, values = pairs.true.column(orders.key), pairs.held.column("quantity")
    fits = plausible_cells(values, to_arrow(twin).column("quantity"), orders.column("quantity"))
    fits = pc.and_(fits, pc.is_in(pc.cast(keys, pa.string()), value_set=pa.array(gone)))
    filled = dict(zip(keys.filter(fits).to_pylist(), values.filter(fits).to_pylist(), strict=True))
    quantity = [filled.get(key, value) for key, value in zip(twin[orders.key], twin["quantity"], strict=True)]
    right = twin.assign(quantity=pd.Series(quantity, dtype=ARROW["int64"], index=twin.index))
    return order_totals(right, truth.tables["products"])


def incremental_objectives(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float],
) -> dict[str, float]:
    """Task 4's parts of the score, each 0 to 1."""
    fresh = max(0.0, 1.0 - state.lag_minutes / 180.0)
    short = state.pending > 0 and state.workers < state.required_workers
    surplus = max(0, state.workers - state.required_workers)
    return {
        "data_quality": (0.4 * scores["orders"] + 0.2 * scores["products"] + 0.2 * scores["daily_summary"]) / 0.8,
        "freshness": fresh / 2 if state.stale else fresh,
        "backlog": backfill(state),
        "resources": 0.2 if short else max(0.6, 1.0 - 0.15 * surplus),
        "summary_consistency": same_rows(
            task.table("daily_summary"), tables.get("daily_summary"), truth.tables["daily_summary"]
        ),
    }


def temporal_objectives(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float],
) -> dict[str, float]:
    """Task 5's parts of the score, each 0 to 1."""
    return {
        "schema_alignment": sum(alignment(table, tables.get(table.name)) for table in task.tables) / len(task.tables),
        "temporal_backfill": backfill(state),
        "rollup_consistency": same_rows(
            task.table("hourly_rollup"), tables.get("hourly_rollup"), truth.tables["hourly_rollup"]
        ),
        "temporal_closure": _closure(task, tables, truth, state),
        "freshness": max(0.0, 1.0 - state.lag_minutes / 240.0),
        "resources": max(0.65, 1.0 - 0.10 * max(0, state.workers - state.required_workers)),
        "data_quality": 0.45 * scores["source_orders"] + 0.25 * scores["catalog"] + 0.30 * scores["hourly_rollup"],
    }


def alignment(table: Table, frame: pd.DataFrame | None) -> float:
    """How far a table's schema is its contract's: columns present in the right type, and in order."""
    if frame is None:
        return 0.0
    right = [c.name for c in table.columns if c.name in frame.columns and column_type(frame[c.name]) == c.type]
    ordered = [name for name in frame.columns if name in table.column_names] == list(table.column_names)
    return 0.9 * len(right) / len(table.columns) + 0.1 * ordered


def backfill(state: PipelineState) -> float:
    """1 with nothing pending, else the share of batches loaded less half the share pending."""
    total = state.loaded + state.pending
    if not state.pending or not total:
        return 1.0
    return max(0.0, (state.loaded - 0.5 * state.pending) / total)


def same_rows(table: Table, frame: pd.DataFrame | None, twin: pd.DataFrame) -> float:
    """Share of rows, over the union of keys, that are the twin's in every column."""
    pairs = None if frame is None else align(table, to_arrow(frame), to_arrow(twin))
    if pairs is None or not pairs.union:
        return 0.0
    right = right_cells(pairs, table.columns[0])
    for column in table.columns[1:]:
        right = pc.and_(right, right_cells(pairs, column))
    return count(right) / pairs.union


def _closure(task: Task, tables: Mapping[str, pd.DataFrame], truth: Truth, state: PipelineState) -> float:
    """Mean of: late orders present, watermark reached, hours of late orders present in the rollup."""
    orders, rollup = task.table("source_orders"), task.table("hourly_rollup")
    twin = to_arrow(truth.tables[orders.name])
    late = twin.filter(pc.is_in(twin.column("batch_id"), value_set=pa.array(state.late, pa.string())))
    hours = pc.unique(pc.floor_temporal(late.column("event_ts"), unit="hour"))
    held = to_arrow(tables.get(orders.name, pd.DataFrame()))
    reached = False
    if has_type(held, orders.column("event_ts")) and held.num_rows:
        newest = pc.max(held.column("event_ts")).as_py()
        reached = newest is not None and newest >= pc.max(twin.column("event_ts")).as_py()
    arrived = _present(late.column(orders.key), held, orders)
    covered = _present(hours, to_arrow(tables.get(rollup.name, pd.DataFrame())), rollup)
    return (arrived + reached + covered) / 3


def _present(keys: pa.ChunkedArray | pa.Array, held: pa.Table, table: Table) -> float:
    """Share of keys that a stored table has."""
    if not len(keys):
        return 1.0
    if not has_type(held, table.column(table.key)):
        return 0.0
    return count(pc.is_in(keys, value_set=held.column(table.key).combine_chunks())) / len(keys)


Objectives = Callable[[Task, Mapping[str, pd.DataFrame], Truth, PipelineState, Mapping[str, float]], dict[str, float]]
OBJECTIVES: dict[str, Objectives] = {
    "ingestion": table_objectives,
    "events": table_objectives,
    "referential": referential_objectives,
    "incremental": incremental_objectives,
    "temporal": temporal_objectives,
}
