"""Files end with a total line that was loaded as if it were a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import MAX_KEY, TRAILER_PLACE, CannotStrike, Damage, FaultError, Feed

from .base import Fault, Stage, some
from .conflicts import BATCH, Conflict, Material, column_of, fed, fed_columns, is_amount


@dataclass(frozen=True)
class TrailerLines(Fault):
    """Some batches hold a line with no key: the producer's total of the batch.

    Args:
        total: the column that holds the sum; all others but `keep` are null.
        keep: columns that a total line fills in like any row.
        batches: how many batches, from least to most.
    """

    stage: ClassVar[Stage] = Stage.ROWS
    needs: ClassVar[str] = "a feed's number that is neither key nor reference"
    table: str
    total: str
    keep: tuple[str, ...] = ()
    batches: tuple[int, int] = (3, 7)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if is_amount(table, column) and table.batched:
                yield cls(table.name, column.name, (BATCH,))
            elif is_amount(table, column):
                yield cls(table.name, column.name, batches=(1, 1))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        column_of(self, table, self.total, lambda held: held.is_number, "a number to add up")
        if self.batches[0] > 1 and not table.batched:
            ends = f"it ends {self.batches[0]} batches, and there is one"
            raise FaultError(f"{self.name} does not fit {table.name}: {ends}")
        # A total may be an outlier: dropping outliers would drop the line as well.
        yield Conflict(self.table, self.total, "outliers")
        yield Conflict(self.table, None, "total lines")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        for batch in some(rng, range(len(feed.batches)), *self.batches):
            self._end(feed, batch)
        damage.undo(self.name, self.table, "drop_nulls", feed.table.key)

    def _end(self, feed: Feed, batch: int) -> None:
        held = np.flatnonzero(feed.genuine & (feed.batch == batch))
        values = feed.columns[self.total].take(pa.array(held)).drop_null()
        if not len(values):
            raise CannotStrike(self.name, f"{self.table}.{self.total}", "a batch has nothing to add up")
        total = round(sum(values.to_pylist()) if feed.column(self.total).type == "int64" else pc.sum(values).as_py(), 2)
        if abs(total) > MAX_KEY:
            raise CannotStrike(self.name, f"{self.table}.{self.total}", "its numbers add up to more than a cell holds")
        row = feed.repeat(held[-1:], "trailer", self.name, np.array([TRAILER_PLACE]))
        for column in feed.table.columns:
            if column.name == self.total:
                feed.assign(column.name, row, pa.array([total]))
            elif column.name not in self.keep:
                feed.assign(column.name, row, pa.nulls(1, feed.columns[column.name].type))
