"""Rows were corrected, and the feed delivers both: the correction, and further down what it corrects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import EXACT, RETRY_PLACE, CannotStrike, Damage, Feed

from .base import Fault, Stage, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns, is_amount

# Before what a retry wrote again, after every row that was sent once.
SUPERSEDED_PLACE = RETRY_PLACE / 2


@dataclass(frozen=True)
class SupersededRows(Fault):
    """Near-duplicates: rows under the keys of genuine ones, with the value that stood there before its correction.

    The feed is written newest first, so that of two rows with one key the first is the one that counts.

    Args:
        column: the number that was corrected.
        share: of the genuine rows, at least two.
        off: how far the old value was from the right one, as a factor either way.
    """

    stage: ClassVar[Stage] = Stage.DELIVERY
    needs: ClassVar[str] = "a feed's number that is neither key nor reference"
    table: str
    column: str
    share: tuple[float, float] = (0.02, 0.07)
    off: tuple[float, float] = (1.1, 1.6)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name, column.name) for table, column in fed_columns(task) if is_amount(table, column))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        column_of(self, table, self.column, lambda held: is_amount(table, held), "a number, no key and no reference")
        yield Conflict(self.table, None, "superseded rows")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        models = some_rows(rng, np.flatnonzero(feed.genuine), self.share, least=2)
        if pc.any(pc.is_null(feed.clean[self.column].take(pa.array(feed.origin[models])))).as_py():
            raise CannotStrike(self.name, f"{self.table}.{self.column}", "a value that is missing was not corrected")
        old = self._before_correction(feed, models, rng)
        rows = feed.repeat(models, "superseded", self.name, SUPERSEDED_PLACE + np.arange(len(models)))
        feed.assign(self.column, rows, old)
        damage.undo(self.name, self.table, "remove_duplicates")

    def _before_correction(self, feed: Feed, rows: np.ndarray, rng: np.random.Generator) -> pa.Array:
        """Values within the contract, each another than the row's right one."""
        column = feed.column(self.column)
        right = feed.clean[self.column].take(pa.array(feed.origin[rows])).to_numpy(zero_copy_only=False)
        factor = rng.uniform(*self.off, len(rows)) ** rng.choice((-1, 1), len(rows))
        step = 1 if column.type == "int64" else 0.01
        old = np.round(right * factor, 0 if column.type == "int64" else 2)
        low, high = (column.minimum or -np.inf), (column.maximum or np.inf)
        old = np.clip(np.where(old == right, right + step, old), low, high)
        old = np.where(old == right, right - step, old)
        if not (np.isfinite(old) & (np.abs(old) < EXACT) & (old != right)).all():
            raise CannotStrike(self.name, f"{self.table}.{self.column}", "its numbers are too large to be off by a bit")
        return pc.cast(pa.array(old), feed.clean[self.column].type)
