"""A number arrives in another type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import ColumnType, Task
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.formatting import plain
from mario_dagster.tables.frames import ARROW

from .base import Fault, one
from .conflicts import Conflict, Material, column_of, fed, fed_columns


@dataclass(frozen=True)
class RetypedColumn(Fault):
    """A numeric column lands as text, or whole numbers land as floats; the values are the same.

    Args:
        types: types it may land in, each other than the contract's.
    """

    needs: ClassVar[str] = "a feed's number"
    table: str
    column: str
    types: tuple[ColumnType, ...] = ("string", "float64")

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if column.is_number:
                yield cls(table.name, column.name, ("string", "float64") if column.type == "int64" else ("string",))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table, kinds = fed(self, task, self.table), " or ".join(self.types)
        fits = {"int64": {"string", "float64"}, "float64": {"string"}}
        column_of(
            self, table, self.column, lambda held: {*self.types} <= fits.get(held.type, set()), f"a number, not {kinds}"
        )
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        column, kind = feed.column(self.column), one(rng, self.types)
        held = feed.typed(self.column, self.name)
        values = plain(held, column) if kind == "string" else held.cast(ARROW[kind].pyarrow_dtype)
        feed.rewrite(self.column, values, self.name)
        damage.undo(self.name, self.table, "cast_to_int" if column.type == "int64" else "cast_to_float", self.column)
