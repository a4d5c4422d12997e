"""A transform was deployed that writes a derived table wrongly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Column, Task
from mario_dagster.incidents.damage import Damage, FaultError
from mario_dagster.incidents.formatting import strftime

from .base import Fault, Stage, one, some
from .conflicts import Conflict, Material, column_of, derived, writable


@dataclass(frozen=True)
class BadDeploy(Fault):
    """Names and spellings that stay live until they are repaired, and a factor that a refresh is free of.

    Args:
        aliases: column -> names it may be written under.
        least, most: how many columns are renamed, both ends included.
        texts: column -> spellings it may be written in: number templates, or names of moments' spellings.
        scale: column -> range that the factor is drawn from.
    """

    stage: ClassVar[Stage] = Stage.PIPELINE
    needs: ClassVar[str] = "a derived table"
    table: str
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: int = 0
    most: int = 0
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scale: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        pool = material.pool
        for table in task.derived_tables:
            amounts = [column.name for column in table.columns if column.type == "float64"]
            scale = dict.fromkeys(amounts, (0.8, 0.93))
            yield cls(table.name, scale=scale)
            yield cls(table.name, material.names(table), 1, 1, scale=scale)
            for column in table.columns:
                if column.is_time:
                    timestamps = pool.dates if column.type == "date" else pool.timestamps
                    yield cls(table.name, texts={column.name: timestamps}, scale=scale)
                elif column.type == "float64":
                    yield cls(table.name, texts={column.name: (*pool.cents, "{value} USD")}, scale=scale)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = derived(self, task, self.table)
        if not (self.texts or self.scale or (self.aliases and self.most)):
            nothing = "it has nothing to rename, to write as text or to scale"
            raise FaultError(f"{self.name} does not fit {task.slug}.{table.name}: {nothing}")
        for name in self.aliases:
            column_of(self, table, name, lambda _: True, "a column")
            yield Conflict(self.table, name, "deployed name")
        for name, pool in self.texts.items():
            fits = column_of(self, table, name, lambda held: held.is_number or held.is_time, "a number or a moment")
            writable(self, fits, table, pool)
            yield Conflict(self.table, name, "deployed text")
        for name in self.scale:
            column_of(self, table, name, lambda held: held.type == "float64", "a float64 to scale")
            yield Conflict(self.table, name, "deployed scale")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        table = damage.task.table(self.table)
        rename = {
            column: one(rng, self.aliases[column]) for column in some(rng, tuple(self.aliases), self.least, self.most)
        }
        texts = {column: _spelling(table.column(column), one(rng, pool)) for column, pool in self.texts.items()}
        scale = {column: round(float(rng.uniform(*bounds)), 3) for column, bounds in self.scale.items()}
        damage.deploy(self.table, rename, texts, scale)
        for column, alias in rename.items():
            damage.undo(self.name, self.table, "rename_column", alias, new_name=column)
        for column in texts:
            damage.undo(self.name, self.table, _cast(table.column(column)), column)


def _spelling(column: Column, format_name: str) -> str:
    return strftime(format_name, column) if column.is_time else format_name


def _cast(column: Column) -> str:
    return {"int64": "cast_to_int", "float64": "cast_to_float"}.get(column.type, "cast_to_string")
