"""What each task's score is made of: parts of 0 to 1, which the task weighs.

In: stored tables, the truth, the state of the pipeline, the tables' own scores. Out: the task's objectives by name.
Pure, like the grader that calls them; a task names its own as `module:function` (`Task.objectives`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.errors import BrokenTask
from mario_dagster.core.task import Table, Task
from mario_dagster.tables.content_cache import CONTENT_CACHE
from mario_dagster.tables.frames import column_type, to_arrow

from .compare import PipelineState, Truth, align, count, right_cells, table_parts, weighed
from .lost import LostCells, among, guessed, with_totals

Value = TypeVar("Value")


@dataclass(frozen=True)
class Scored:
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
        table, truth, lost = self.task.table(name), self.truth, self.lost(name)
        return self.once("parts", (name,), lambda: table_parts(table, self.tables.get(name), truth.tables[name], lost))

    def same_rows(self, name: str) -> float:
        """Share of a table's rows that are the reference's in every column, of those without a lost cell."""
        table, truth, lost = self.task.table(name), self.truth, self.lost(name)
        held = self.tables.get(name)
        return self.once("same rows", (name,), lambda: same_rows(table, held, truth.tables[name], lost))

    def lost(self, name: str) -> LostCells:
        """A table's cells whose value is nowhere any more, and totals of such."""
        return self._lost.get(name, frozenset())

    @property
    def guessed(self) -> int:
        """Cells of all tables from a feed whose value is lost, and that hold one again."""
        fed = [table for table in self.task.tables if not table.derived and table.name in self.tables]
        return sum(self.once("guessed", (table.name,), partial(self._guessed, table)) for table in fed)

    def _guessed(self, table: Table) -> int:
        return guessed(table, to_arrow(self.tables[table.name]), self.lost(table.name))

    @cached_property
    def _lost(self) -> Mapping[str, LostCells]:
        return with_totals(self.task, self.truth.lost)

    def once(self, what: str, names: tuple[str, ...], compute: Callable[[], Value]) -> Value:
        """What is computed from these tables and their truth, computed once for each content of them."""
        contents = tuple(self.versions.get(name, "") if name in self.tables else None for name in names)
        if self.truth.named is None or "" in contents:
            return compute()
        return CONTENT_CACHE.get(("graded", what, self.task.slug, self.truth.named, names, contents), compute)


Objectives = Callable[[Scored], dict[str, float]]


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


def each_table(found: Scored) -> dict[str, float]:
    """For each part, the score of the table of that name: what a task has unless it says otherwise."""
    return {name: found.scores[name] for name in found.task.objective_weights}


def only_table(found: Scored) -> dict[str, float]:
    """Tasks 1 and 2: the parts of their one table's own score."""
    return found.parts(found.task.main_table.name)


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


def same_rows(
    table: Table, frame: pd.DataFrame | None, reference: pd.DataFrame, lost: LostCells = frozenset()
) -> float:
    """Share of rows, over the union of keys, that are the reference's in every column; rows with a lost cell apart."""
    gone = {key for key, _ in lost}
    held, true = (_without(each, table, gone) for each in (frame, reference))
    pairs = None if held is None or true is None else align(table, held, true)
    if pairs is None or not pairs.union:
        return 0.0
    right = right_cells(pairs, table.columns[0])
    for column in table.columns[1:]:
        right = pc.and_(right, right_cells(pairs, column))
    return count(right) / pairs.union


def _without(frame: pd.DataFrame | None, table: Table, gone: Collection[str]) -> pa.Table | None:
    """A table in Arrow less the rows of these keys, given as text."""
    if frame is None:
        return None
    rows = to_arrow(frame)
    return (
        rows.filter(pc.invert(among(rows.column(table.key), gone))) if gone and table.key in rows.column_names else rows
    )
