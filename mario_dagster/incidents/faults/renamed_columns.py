"""Columns arrive under other names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage, FaultError

from .base import Fault, Stage, one, some
from .conflicts import Conflict, Material, column_of, fed, fed_tables


@dataclass(frozen=True)
class RenamedColumns(Fault):
    """The producer renamed columns of a feed, in every batch alike.

    Args:
        aliases: column -> names it may arrive under.
        least, most: how many columns, both ends included.
        always: columns that are renamed whatever the seed.
    """

    stage: ClassVar[Stage] = Stage.SCHEMA
    needs: ClassVar[str] = "a table that comes from a feed"
    table: str
    aliases: Mapping[str, tuple[str, ...]]
    least: int = 1
    most: int = 1
    always: tuple[str, ...] = ()

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table in fed_tables(task):
            aliases = material.names(table)
            yield cls(table.name, aliases)
            yield cls(table.name, aliases, least=2, most=3)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        for name in (*self.aliases, *self.always):
            column_of(self, table, name, lambda _: True, "a column")
        if self.least > len(self.aliases):
            wanted = f"it renames {self.least} columns at the least, and {len(self.aliases)} have other names"
            raise FaultError(f"{self.name} does not fit {task.slug}.{table.name}: {wanted}")
        yield Conflict(self.table, None, "names")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        open_ = [column for column in self.aliases if column not in self.always]
        drawn = some(rng, open_, max(0, self.least - len(self.always)), max(0, self.most - len(self.always)))
        for column in self.aliases:
            if column in self.always or column in drawn:
                alias = one(rng, self.aliases[column])
                feed.rename(column, alias, self.name)
                damage.undo(self.name, self.table, "rename_column", alias, new_name=column)
