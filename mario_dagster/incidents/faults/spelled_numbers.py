"""Numbers arrive as text, with currency, unit or cent marks around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.formatting import write_rows_in_formats

from .base import Fault, every_choice, some
from .conflicts import Conflict, Material, column_of, fed, fed_columns, is_amount, writable

# Units of an age, which is counted in no pieces.
YEARS = ("{value} years",)


@dataclass(frozen=True)
class SpelledNumbers(Fault):
    """Every cell of a numeric column is written with marks that say what they do to the value.

    Args:
        spellings: templates with `{value}`, `{amount}` or `{cents}`.
        least, most: how many of them one incident mixes, row by row.
    """

    needs: ClassVar[str] = "a feed's number that is neither key nor reference"
    table: str
    column: str
    formats: tuple[str, ...]
    least: int = 1
    most: int = 1

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        pool = material.pool
        for table, column in fed_columns(task):
            if is_amount(table, column) and column.type == "float64":
                yield cls(table.name, column.name, pool.currency, most=3)
                yield cls(table.name, column.name, (*pool.cents, pool.currency[0]), most=3)
            elif is_amount(table, column):
                yield cls(table.name, column.name, YEARS if "age" in column.name else pool.units, most=3)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        column = column_of(self, table, self.column, lambda held: held.is_number, "a number")
        writable(self, column, table, self.formats)
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        column = feed.column(self.column)
        formats = some(rng, self.formats, self.least, self.most)
        choice = every_choice(rng, feed.size, len(formats))
        feed.rewrite(
            self.column, write_rows_in_formats(feed.typed(self.column, self.name), column, formats, choice), self.name
        )
        damage.undo(self.name, self.table, "cast_to_int" if column.type == "int64" else "cast_to_float", self.column)
