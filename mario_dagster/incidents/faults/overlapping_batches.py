"""Batches overlap: a file begins with rows that the file before it ended with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage, some, some_rows
from .conflicts import Conflict, Material, fed, fed_tables

# Before every genuine row of a batch, as a window that opens early would write them.
_OPENING = -1e9


@dataclass(frozen=True)
class OverlappingBatches(Fault):
    """Some batches begin with exact copies of a share of the rows of the batch before, which keep its batch number.

    Args:
        batches: how many batches, from least to most; the first has none before it.
        share: of the genuine rows of the batch before, at least one.
    """

    stage: ClassVar[Stage] = Stage.DELIVERY
    needs: ClassVar[str] = "a feed that comes in batches"
    table: str
    batches: tuple[int, int] = (3, 6)
    share: tuple[float, float] = (0.1, 0.35)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name) for table in fed_tables(task) if table.batched)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        fed(self, task, self.table, batched=True)
        yield Conflict(self.table, None, "overlaps")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        for batch in some(rng, range(1, len(feed.batches)), *self.batches):
            rows = some_rows(rng, np.flatnonzero(feed.genuine & (feed.batch == batch - 1)), self.share)
            copies = feed.repeat(rows, "overlap", self.name, _OPENING + np.arange(len(rows)))
            feed.batch[copies] = batch
        damage.undo(self.name, self.table, "remove_duplicates")
