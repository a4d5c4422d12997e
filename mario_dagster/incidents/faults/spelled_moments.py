"""Dates and times arrive as text, in mixed spellings or with time-zone offsets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.formatting import write_rows_in_formats

from .base import Fault, every_choice, some
from .conflicts import Conflict, Material, column_of, fed, fed_columns, writable


@dataclass(frozen=True)
class SpelledMoments(Fault):
    """Every cell of a date or timestamp column is written in one of several spellings.

    Args:
        spellings: names in `core/formats.py`, or `iso_offset +05:30`.
        least, most: how many of them one incident mixes, row by row.
    """

    needs: ClassVar[str] = "a feed's date or timestamp"
    table: str
    column: str
    formats: tuple[str, ...]
    least: int = 1
    most: int = 1

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        pool = material.pool
        for table, column in fed_columns(task):
            if column.type == "date":
                yield cls(table.name, column.name, ("iso", *pool.dates), least=2, most=3)
            elif column.type == "timestamp":
                yield cls(table.name, column.name, pool.timestamps, most=2)
                yield cls(table.name, column.name, pool.offsets, least=2, most=3)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        column = column_of(self, table, self.column, lambda held: held.is_time, "a date or timestamp")
        writable(self, column, table, self.formats)
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        formats = some(rng, self.formats, self.least, self.most)
        choice = every_choice(rng, feed.size, len(formats))
        texts = write_rows_in_formats(feed.typed(self.column, self.name), feed.column(self.column), formats, choice)
        feed.rewrite(self.column, texts, self.name)
        damage.undo(self.name, self.table, "cast_to_string", self.column)
