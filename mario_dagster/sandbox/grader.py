"""The score: tables compared with the twin, cell by cell, and the pipeline's state compared with a healthy one.

In: tables as stored, the twin, the cells that are lost, the state of backlog, freshness and pool. Out: a `Grade`. Pure:
no Dagster, no files. Everything is computed again from the tables; no check result is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mario_dagster.assets.frames import column_type
from mario_dagster.catalog import Column, Table, Task

TABLE_WEIGHTS: Mapping[str, float] = {"completeness": 0.20, "validity": 0.20, "consistency": 0.30, "accuracy": 0.30}
# Money is kept in cents: two amounts closer than half a cent are the same amount.
CENT = 0.005
LOST_IQRS = 1.5


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
    lost: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)


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


def grade(task: Task, tables: Mapping[str, pd.DataFrame], truth: Truth, state: PipelineState) -> Grade:
    """Score a task's tables and state against the truth."""
    scores = {
        table.name: table_score(table, tables.get(table.name), truth.tables[table.name], truth.lost.get(table.name, frozenset()))
        for table in task.tables
    }
    parts = OBJECTIVES[task.slug](task, tables, truth, state, scores)
    total = sum(task.objective_weights[name] * value for name, value in parts.items())
    return Grade(float(total), {name: float(value) for name, value in parts.items()}, scores)


# --- one table --------------------------------------------------------------------------------------------------------


def table_score(
    table: Table, frame: pd.DataFrame | None, twin: pd.DataFrame, lost: frozenset[tuple[str, str]] = frozenset()
) -> float:
    """One table's score, 0 to 1: weighted completeness, validity, consistency and accuracy."""
    return sum(TABLE_WEIGHTS[name] * value for name, value in table_parts(table, frame, twin, lost).items())


def table_parts(
    table: Table, frame: pd.DataFrame | None, twin: pd.DataFrame, lost: frozenset[tuple[str, str]] = frozenset()
) -> dict[str, float]:
    """The four parts of a table's score, 0 to 1 each.

    All are shares of the larger of the two tables, so that lost rows and invented rows both cost in every part.
    """
    if frame is None or frame.empty or len(frame.columns) == 0:
        return dict.fromkeys(TABLE_WEIGHTS, 0.0)
    rows = max(len(frame), len(twin))
    cells = rows * len(table.columns)
    present = valid = 0
    for column in table.columns:
        if column.name in frame.columns:
            series = frame[column.name]
            present += int(series.notna().sum())
            valid += int(valid_cells(series, column).sum())
    keys = _keys(frame, table)
    truth_keys = pd.Index(twin[table.key])
    matched = truth_keys.isin(keys).sum() if keys is not None else 0
    return {
        "completeness": present / cells,
        "validity": valid / cells,
        "consistency": float(matched) / rows,
        "accuracy": _accuracy(table, frame, twin, lost),
    }


def valid_cells(series: pd.Series, column: Column) -> np.ndarray:
    """Which cells have the contract's type and lie in its range, pattern or categories."""
    if column_type(series) != column.type:
        return np.zeros(len(series), dtype=bool)
    good = series.notna().to_numpy(dtype=bool)
    if column.minimum is not None:
        good &= (series >= column.minimum).fillna(False).to_numpy(dtype=bool)
    if column.maximum is not None:
        good &= (series <= column.maximum).fillna(False).to_numpy(dtype=bool)
    if column.categories:
        good &= series.isin(column.categories).to_numpy(dtype=bool)
    if column.pattern:
        good &= series.str.fullmatch(column.pattern).fillna(False).to_numpy(dtype=bool)
    return good


def _keys(frame: pd.DataFrame, table: Table) -> pd.Index | None:
    """The table's keys when they have the contract's type, else None: rows that cannot be told apart match nothing."""
    if table.key not in frame.columns or column_type(frame[table.key]) != table.column(table.key).type:
        return None
    return pd.Index(frame[table.key].dropna())


def _accuracy(table: Table, frame: pd.DataFrame, twin: pd.DataFrame, lost: frozenset[tuple[str, str]]) -> float:
    """Share of right cells over the union of keys; of a key that occurs twice, the first row counts."""
    keys = _keys(frame, table)
    if keys is None:
        return 0.0
    first = frame[frame[table.key].notna() & ~frame[table.key].duplicated()]
    position = pd.Index(first[table.key]).get_indexer(pd.Index(twin[table.key]))
    found = position >= 0
    union = len(twin) + len(first) - int(found.sum())
    here, there = first.iloc[position[found]].reset_index(drop=True), twin[found].reset_index(drop=True)
    right = 0
    for column in table.columns:
        if column.name not in frame.columns:
            continue
        good = right_cells(here[column.name], there[column.name], column)
        gone = [key for key, name in lost if name == column.name]
        if gone and not good.all():
            is_lost = there[table.key].astype(str).isin(gone).to_numpy(dtype=bool)
            good |= is_lost & plausible_cells(here[column.name], twin[column.name], column)
        right += int(good.sum())
    return right / (union * len(table.columns))


def right_cells(here: pd.Series, there: pd.Series, column: Column) -> np.ndarray:
    """Which cells of aligned columns hold the truth."""
    if column_type(here) != column.type:
        return np.zeros(len(here), dtype=bool)
    if column.type == "float64":
        return ((here - there).abs() < CENT).fillna(False).to_numpy(dtype=bool)
    return (here == there).fillna(False).to_numpy(dtype=bool)


def plausible_cells(series: pd.Series, clean: pd.Series, column: Column) -> np.ndarray:
    """What a lost value may be replaced by: in the clean column's median ± 1.5 IQR, or a valid category."""
    good = valid_cells(series, column)
    if not column.is_number:
        return good
    low, middle, high = (float(clean.quantile(q)) for q in (0.25, 0.5, 0.75))
    reach = LOST_IQRS * (high - low)
    near = ((series >= middle - reach) & (series <= middle + reach)).fillna(False).to_numpy(dtype=bool)
    return good & near


# --- a task's objectives ----------------------------------------------------------------------------------------------


def temporal_objectives(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float],
) -> dict[str, float]:
    """Task 5's parts of the score, each 0 to 1."""
    return {
        "schema_alignment": float(np.mean([alignment(table, tables.get(table.name)) for table in task.tables])),
        "temporal_backfill": backfill(state),
        "rollup_consistency": same_rows(task.table("hourly_rollup"), tables.get("hourly_rollup"), truth.tables["hourly_rollup"]),
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
    keys = None if frame is None else _keys(frame, table)
    if frame is None or keys is None or set(table.column_names) - set(frame.columns):
        return 0.0
    first = frame[frame[table.key].notna() & ~frame[table.key].duplicated()]
    position = pd.Index(first[table.key]).get_indexer(pd.Index(twin[table.key]))
    found = position >= 0
    union = len(twin) + len(first) - int(found.sum())
    here, there = first.iloc[position[found]].reset_index(drop=True), twin[found].reset_index(drop=True)
    right = np.ones(int(found.sum()), dtype=bool)
    for column in table.columns:
        same = column_type(here[column.name]) == column.type
        right &= right_cells(here[column.name], there[column.name], column) if same else False
    return float(right.sum()) / union if union else 1.0


def _closure(task: Task, tables: Mapping[str, pd.DataFrame], truth: Truth, state: PipelineState) -> float:
    """Mean of: late orders present, watermark reached, hours of late orders present in the rollup."""
    orders, twin = tables.get("source_orders"), truth.tables["source_orders"]
    late = twin[twin["batch_id"].isin(state.late)]
    keys = _keys(orders, task.table("source_orders")) if orders is not None else None
    arrived = float(pd.Index(late["order_id"]).isin(keys).mean()) if keys is not None and len(late) else float(late.empty)
    reached = 0.0
    if orders is not None and "event_ts" in orders and column_type(orders["event_ts"]) == "timestamp" and len(orders):
        reached = float(orders["event_ts"].max() >= twin["event_ts"].max())
    rollup = tables.get("hourly_rollup")
    buckets = _keys(rollup, task.table("hourly_rollup")) if rollup is not None else None
    hours = pd.Index(late["event_ts"].dt.floor("h").unique())
    covered = float(hours.isin(buckets).mean()) if buckets is not None and len(hours) else float(hours.empty)
    return (arrived + reached + covered) / 3


Objectives = Callable[[Task, Mapping[str, pd.DataFrame], Truth, PipelineState, Mapping[str, float]], dict[str, float]]
OBJECTIVES: dict[str, Objectives] = {"temporal": temporal_objectives}
