"""A load was retried: some rows are delivered twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import RETRY_PLACE, Damage

from .base import Fault, Stage, some, some_rows
from .conflicts import Conflict, Material, fed, fed_tables


@dataclass(frozen=True)
class RetriedLoad(Fault):
    """Some batches end with exact copies of a share of their rows: a load was cut off and begun again.

    Args:
        batches: how many batches, from least to most; a feed of one delivery has one.
        share: of a batch's genuine rows, at least one.
    """

    stage: ClassVar[Stage] = Stage.DELIVERY
    needs: ClassVar[str] = "a table that comes from a feed"
    table: str
    batches: tuple[int, int] = (2, 4)
    share: tuple[float, float] = (0.3, 0.8)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table in fed_tables(task):
            yield cls(table.name) if table.batched else cls(table.name, share=(0.04, 0.2))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        fed(self, task, self.table)
        yield Conflict(self.table, None, "retried rows")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        least, most = (min(count, len(feed.batches)) for count in self.batches)
        for batch in some(rng, range(len(feed.batches)), least, most):
            rows = some_rows(rng, np.flatnonzero(feed.genuine & (feed.batch == batch)), self.share)
            feed.repeat(rows, "retried", self.name, RETRY_PLACE + np.arange(len(rows)))
        damage.undo(self.name, self.table, "remove_duplicates")
