"""A delivery broke off and began again: some rows stand there twice, the second time half written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import RETRY_PLACE, Damage, FaultError

from .base import Fault, Stage, some_rows
from .conflicts import Conflict, Material, fed, fed_tables

# After what a whole retry wrote again.
TORN_PLACE = 2 * RETRY_PLACE


@dataclass(frozen=True)
class TornCopies(Fault):
    """Copies of genuine rows whose last few columns are empty; what is missing there stands in the rows themselves.

    Args:
        share: of the genuine rows, at least two.
    """

    stage: ClassVar[Stage] = Stage.DELIVERY
    needs: ClassVar[str] = "a table that comes from a feed"
    table: str
    share: tuple[float, float] = (0.01, 0.05)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name) for table in fed_tables(task))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        if table.column_names == (table.key,):
            alone = f"its copies lack what is beside the key, and there is nothing beside {table.key}"
            raise FaultError(f"{self.name} does not fit {task.slug}.{table.name}: {alone}")
        yield Conflict(self.table, None, "torn rows")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        models = some_rows(rng, np.flatnonzero(feed.genuine), self.share, least=2)
        rows = feed.repeat(models, "torn", self.name, TORN_PLACE + np.arange(len(models)))
        written = [name for name in feed.table.column_names if name != feed.table.key]
        ends = rng.integers(min(1, len(written) - 1), len(written), size=len(rows))
        for place, name in enumerate(written):
            empty = rows[ends <= place]
            feed.assign(name, empty, pa.nulls(len(empty), feed.columns[name].type))
        damage.undo(self.name, self.table, "remove_duplicates")
