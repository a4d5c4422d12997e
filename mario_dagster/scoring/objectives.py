"""What each task's score is made of: parts of 0 to 1, which the task weighs.

In: stored tables, the truth, the state of the pipeline, the tables' own scores. Out: the task's objectives by name.
Pure, like the grader that calls them; a task names its own as `module:function` (`Task.objectives`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.errors import BrokenTask
from mario_dagster.core.task import Table, Task
from mario_dagster.tables.content_cache import MEMO
from mario_dagster.tables.frames import column_type, to_arrow
from mario_dagster.tasks.referential.transforms import order_totals

from .compare import PipelineState, Truth, align, count, has_type, plausible_cells, right_cells, table_parts, weighed

Value = TypeVar("Value")


@dataclass(frozen=True)
class Found:
    """All that a score is made of.

    Args:
        tables: as stored; one that was never written is absent.
        versions: table -> what names its content; what is computed from content that has a name is computed once.
    """

    task: Task
    tables: Mapping[str, pd.DataFrame]
    truth: Truth
    state: PipelineState
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Each table's own score."""
        return {table.name: weighed(self.parts(table.name)) for table in self.task.tables}

    def parts(self, name: str) -> dict[str, float]:
        """The parts of a table's own score."""
        table, truth = self.task.table(name), self.truth
        lost = truth.lost.get(name, frozenset())
        return self.once("parts", (name,), lambda: table_parts(table, self.tables.get(name), truth.tables[name], lost))

    def same_rows(self, name: str) -> float:
        """Share of a table's rows that are the twin's in every column."""
        table, truth = self.task.table(name), self.truth
        return self.once("same rows", (name,), lambda: same_rows(table, self.tables.get(name), truth.tables[name]))

    def once(self, what: str, names: tuple[str, ...], compute: Callable[[], Value]) -> Value:
        """What is computed from these tables and their truth, computed once for each content of them."""
        contents = tuple(self.versions.get(name, "") if name in self.tables else None for name in names)
        if self.truth.named is None or "" in contents:
            return compute()
        return MEMO.get(("graded", what, self.task.slug, self.truth.named, names, contents), compute)


Objectives = Callable[[Found], dict[str, float]]


def objectives(task: Task) -> Objectives:
    """What computes the parts of a task's score. Raises `BrokenTask` where it does not load."""
    try:
        return _resolved(task.objectives)
    except Exception as error:
        why = f"its objectives '{task.objectives}' do not load: {type(error).__name__}: {error}"
        raise BrokenTask(task.slug, why) from error


@cache
def _resolved(reference: str) -> Objectives:
    made: Objectives = pkgutil.resolve_name(reference)
    return made


def each_table(found: Found) -> dict[str, float]:
    """For each part, the score of the table of that name: what a task has unless it says otherwise."""
    return {name: found.scores[name] for name in found.task.objective_weights}


def only_table(found: Found) -> dict[str, float]:
    """Tasks 1 and 2: the parts of their one table's own score."""
    return found.parts(found.task.main_table.name)


def referential(found: Found) -> dict[str, float]:
    """Task 3's parts of the score, each 0 to 1.

    Weighted they are quality * (0.30 + 0.70 * share of right totals): three parts share the first term, the last part
    is the whole second one, so that right totals of wrong tables, and wrong totals of right ones, are worth little.
    """
    scores, table = found.scores, found.task.table("order_totals")
    quality = 0.50 * scores["orders"] + 0.30 * scores["customers"] + 0.20 * scores["products"]
    totals = found.once(
        "right totals",
        ("orders", "order_totals"),
        lambda: same_rows(table, found.tables.get(table.name), _due_totals(found)),
    )
    return {
        "orders_quality": scores["orders"],
        "customers_quality": scores["customers"],
        "products_quality": scores["products"],
        "dependency_consistency": quality * totals,
    }


def _due_totals(found: Found) -> pd.DataFrame:
    """The totals that are right: the twin's; where an order's quantity is lost, what a plausible stand-in comes to."""
    truth, orders, twin = found.truth, found.task.table("orders"), found.truth.tables["orders"]
    gone = [key for key, name in truth.lost.get(orders.name, ()) if name == "quantity"]
    pairs = align(orders, to_arrow(found.tables.get(orders.name, pd.DataFrame())), to_arrow(twin)) if gone else None
    if pairs is None or "quantity" not in pairs.held.column_names:
        return truth.tables["order_totals"]
    keys, values = pairs.true.column(orders.key), pairs.held.column("quantity")
    fits = plausible_cells(values, to_arrow(twin).column("quantity"), orders.column("quantity"))
    fits = pc.and_(fits, pc.is_in(pc.cast(keys, pa.string()), value_set=pa.array(gone)))
    if not count(fits):
        return truth.tables["order_totals"]
    filled = pc.index_in(to_arrow(twin).column(orders.key), value_set=keys.filter(fits).combine_chunks())
    quantity = pc.coalesce(values.filter(fits).take(filled), to_arrow(twin).column("quantity"))
    right = twin.assign(quantity=pd.Series(pd.arrays.ArrowExtensionArray(quantity), index=twin.index))
    return order_totals(right, truth.tables["products"])


def incremental(found: Found) -> dict[str, float]:
    """Task 4's parts of the score, each 0 to 1."""
    state, scores = found.state, found.scores
    fresh = max(0.0, 1.0 - state.lag_minutes / 180.0)
    short = state.pending > 0 and state.workers < state.required_workers
    surplus = max(0, state.workers - state.required_workers)
    return {
        "data_quality": (0.4 * scores["orders"] + 0.2 * scores["products"] + 0.2 * scores["daily_summary"]) / 0.8,
        "freshness": fresh / 2 if state.stale else fresh,
        "backlog": backfill(state),
        "resources": 0.2 if short else max(0.6, 1.0 - 0.15 * surplus),
        "summary_consistency": found.same_rows("daily_summary"),
    }


def temporal(found: Found) -> dict[str, float]:
    """Task 5's parts of the score, each 0 to 1."""
    state, scores, tables = found.state, found.scores, found.task.tables
    return {
        "schema_alignment": sum(alignment(each, found.tables.get(each.name)) for each in tables) / len(tables),
        "temporal_backfill": backfill(state),
        "rollup_consistency": found.same_rows("hourly_rollup"),
        "temporal_closure": found.once("closure", ("source_orders", "hourly_rollup"), lambda: _closure(found)),
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


def _closure(found: Found) -> float:
    """Mean of: late orders present, watermark reached, hours of late orders present in the rollup."""
    tables, orders, rollup = found.tables, found.task.table("source_orders"), found.task.table("hourly_rollup")
    twin = to_arrow(found.truth.tables[orders.name])
    late = twin.filter(pc.is_in(twin.column("batch_id"), value_set=pa.array(found.state.late, pa.string())))
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
