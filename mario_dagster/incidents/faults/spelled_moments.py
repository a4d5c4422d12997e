"""Dates and times arrive as text, in mixed spellings or with time-zone offsets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.formatting import spell_rows

from .base import Fault, every_choice, some
from .conflicts import Claim, Material, column_of, fed, fed_columns, spellable


@dataclass(frozen=True)
class SpelledMoments(Fault):
    """Every cell of a date or timestamp column is written in one of several spellings.

    Args:
        spellings: names in `catalog.marks`, or `iso_offset +05:30`.
        least, most: how many of them one incident mixes, row by row.
    """

    table: str
    column: str
    spellings: tuple[str, ...]
    least: int = 1
    most: int = 1

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        pool = material.pool
        for table, column in fed_columns(task):
            if column.type == "date":
                yield cls(table.name, column.name, ("iso", *pool.dates), least=2, most=3)
            elif column.type == "timestamp":
                yield cls(table.name, column.name, pool.moments, most=2)
                yield cls(table.name, column.name, pool.offsets, least=2, most=3)

    def claims(self, task: Task) -> Iterable[Claim]:
        table = fed(self, task, self.table)
        column = column_of(self, table, self.column, lambda held: held.is_moment, "a date or timestamp")
        spellable(self, column, table, self.spellings)
        yield Claim(self.table, self.column, "spelling")

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        spellings = some(rng, self.spellings, self.least, self.most)
        choice = every_choice(rng, feed.size, len(spellings))
        texts = spell_rows(feed.typed(self.column, self.name), feed.column(self.column), spellings, choice)
        feed.rewrite(self.column, texts, self.name)
        damage.undo(self.name, self.table, "cast_to_string", self.column)
