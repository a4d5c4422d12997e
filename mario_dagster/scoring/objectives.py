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
import pyarrow.compute as pc

from mario_dagster.core.errors import BrokenTask
from mario_dagster.core.task import Table, Task
from mario_dagster.tables.content_cache import MEMO
from mario_dagster.tables.frames import column_type, to_arrow

from .compare import PipelineState, Truth, align, count, right_cells, table_parts, weighed

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
