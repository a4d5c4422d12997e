"""Texts arrive padded with blanks to one width, as a fixed-width export writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow.compute as pc

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike, Damage

from .base import Fault, Stage
from .conflicts import Conflict, Material, column_of, fed, fed_columns


@dataclass(frozen=True)
class PaddedText(Fault):
    """Every text of a column is padded, on the left or on the right.

    Args:
        wider: blanks that the longest text gets, from least to most.
    """

    stage: ClassVar[Stage] = Stage.CELLS
    needs: ClassVar[str] = "a feed's text column"
    table: str
    column: str
    wider: tuple[int, int] = (1, 9)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name, column.name) for table, column in fed_columns(task) if column.type == "string")

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        column_of(self, fed(self, task, self.table), self.column, lambda held: held.type == "string", "text")
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        texts = feed.columns[self.column]
        if texts.null_count == len(texts):
            raise CannotStrike(self.name, f"{self.table}.{self.column}", "it has no text")
        width = pc.max(pc.utf8_length(texts)).as_py() + int(rng.integers(self.wider[0], self.wider[1] + 1))
        pad = (pc.utf8_lpad, pc.utf8_rpad)[int(rng.integers(2))]
        feed.rewrite(self.column, pad(texts, width=width, padding=" "), self.name)
        damage.undo(self.name, self.table, "cast_to_string", self.column)
