"""Columns arrive in another order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage, FaultError

from .base import Fault, Stage
from .conflicts import Conflict, Material, fed, fed_tables


@dataclass(frozen=True)
class ReorderedColumns(Fault):
    """The producer writes a feed's columns in another order, in every batch alike."""

    stage: ClassVar[Stage] = Stage.ORDER
    needs: ClassVar[str] = "a feed of three columns or more"
    table: str

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name) for table in fed_tables(task) if len(table.columns) > 2)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        if len(table.columns) < 2:
            raise FaultError(f"{self.name} does not fit {task.slug}.{table.name}: one column has one order")
        yield Conflict(self.table, None, "order")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        contract = list(feed.table.column_names)
        known = contract
        while known == contract:
            feed.order = [feed.order[index] for index in rng.permutation(len(feed.order))]
            known = [name for name in feed.order if name not in feed.extras]
        damage.undo(self.name, self.table, "reorder_columns", column_order=feed.contract_order())
