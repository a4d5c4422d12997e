"""Rows arrive that nobody sent: test records with impossible amounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from mario_dagster.core.task import Column, Task
from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage, one, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns, numbered


@dataclass(frozen=True)
class BogusRows(Fault):
    """Copies of genuine rows under new keys, with values outside their contract's plausible range.

    Args:
        values: column -> values that such a row may carry.
        drop: the numeric column whose outliers are dropped to undo it.
        share: of all rows, at least two.
    """

    stage: ClassVar[Stage] = Stage.ROWS
    needs: ClassVar[str] = "a feed's number, beside its key, whose plausible range a test record leaves"
    table: str
    values: Mapping[str, tuple[Any, ...]]
    drop: str
    share: tuple[float, float] = (0.012, 0.025)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if column.is_number and column.name != table.key and _outside(column, material.pool.numbers):
                yield cls(table.name, {column.name: material.pool.numbers}, drop=column.name)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        numbered(self, table)
        for name in self.values:
            column_of(self, table, name, lambda held: held.name != table.key, "a column beside the key")
        pool = self.values.get(self.drop, ())
        wants = "a range that its values are outside of"
        column_of(self, table, self.drop, lambda held: held.is_number and _outside(held, pool), wants)
        yield Conflict(self.table, self.drop, "outliers")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        models = some_rows(rng, np.arange(feed.size), self.share, least=2)
        keys = feed.columns[feed.table.key]
        rows = feed.repeat(models, "bogus", self.name, feed.place[models] + 0.5)
        steps = rng.integers(1, 30, size=len(rows))
        feed.assign(feed.table.key, rows, feed.new_keys(steps, keys, 40, self.name))
        for column, pool in self.values.items():
            feed.assign(column, rows, pa.array([one(rng, pool) for _ in rows]))
        damage.undo(self.name, self.table, "drop_outliers", self.drop)


def _outside(column: Column, values: Sequence[Any]) -> bool:
    """There are values, and all of them are outside the column's plausible range."""
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    return bool(values) and all(not low <= value <= high for value in values)
