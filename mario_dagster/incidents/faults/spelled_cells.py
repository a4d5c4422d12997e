"""Some cells of a column are spelt otherwise than the rest of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.formatting import write_rows_in_formats

from .base import Fault, every_choice, some, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns, is_amount, writable


@dataclass(frozen=True)
class SpelledCells(Fault):
    """A share of a number's or a date's cells carries marks; the others are plain, and the whole column lands as text.

    Args:
        spellings: as in `SpelledNumbers` or `SpelledMoments`.
        share: of all rows, at least two.
        least, most: how many spellings one incident mixes.
    """

    needs: ClassVar[str] = "a feed's float64 that is neither key nor reference, or a date"
    table: str
    column: str
    formats: tuple[str, ...]
    share: tuple[float, float] = (0.02, 0.30)
    least: int = 1
    most: int = 2

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if is_amount(table, column) and column.type == "float64":
                yield cls(table.name, column.name, material.pool.currency)
            elif column.type == "date":
                yield cls(table.name, column.name, material.pool.dates)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        wants = "a number or a moment"
        column = column_of(self, table, self.column, lambda held: held.is_number or held.is_time, wants)
        writable(self, column, table, self.formats)
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        column, held = feed.column(self.column), feed.typed(self.column, self.name)
        said = np.flatnonzero(held.is_valid().to_numpy(zero_copy_only=False))
        rows = some_rows(rng, said, self.share, least=2)
        formats = some(rng, self.formats, self.least, self.most)
        texts = write_rows_in_formats(held.take(rows), column, formats, every_choice(rng, len(rows), len(formats)))
        feed.put(self.column, rows, texts.to_pylist(), self.name)
        cast = {"int64": "cast_to_int", "float64": "cast_to_float"}.get(column.type, "cast_to_string")
        damage.undo(self.name, self.table, cast, self.column)
