"""Columns arrive that the contract does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage, FaultError

from .base import Fault, Stage, one, some
from .conflicts import Conflict, Material, fed, fed_tables

# What exports carry along that nobody asked for.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "export_host": ("node-a", "node-b", "node-c"),
    "row_note": ("checked", "amended", "imported"),
    "writer": ("batch", "stream"),
}


@dataclass(frozen=True)
class ExtendedSchema(Fault):
    """The producer added columns. That is allowed, and needs no repair: it is there to be told from a rename.

    Args:
        columns: name -> texts its cells are drawn from.
        least, most: how many columns, both ends included.
    """

    stage: ClassVar[Stage] = Stage.SCHEMA
    harmless: ClassVar[bool] = True
    needs: ClassVar[str] = "a table that comes from a feed"
    table: str
    columns: Mapping[str, tuple[str, ...]]
    least: int = 1
    most: int = 1

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name, EXTRAS, most=2) for table in fed_tables(task))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        taken = sorted(set(self.columns).intersection(table.column_names))
        if taken:
            raise FaultError(f"{self.name} does not fit {task.slug}.{table.name}: its contract has a '{taken[0]}'")
        yield Conflict(self.table, None, "extra columns")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        for name in some(rng, tuple(self.columns), self.least, self.most):
            pool = self.columns[name]
            values = pa.array([pool[index] for index in rng.integers(len(pool), size=feed.size)], pa.string())
            feed.extend(name, values, one(rng, range(1, len(feed.order) + 1)), self.name)
