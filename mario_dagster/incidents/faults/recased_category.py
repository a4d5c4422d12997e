"""Categories arrive in another case, or with blanks around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage

from .base import Fault, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns

_CASES = (str.upper, str.title, str.swapcase, lambda text: f" {text}", lambda text: f"{text.title()} ")


@dataclass(frozen=True)
class RecasedCategory(Fault):
    """A share of a categorical column's cells is spelt in another case or with blanks.

    Args:
        share: of all rows, at least one.
    """

    needs: ClassVar[str] = "a feed's column of categories"
    table: str
    column: str
    share: tuple[float, float] = (0.2, 0.6)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name, column.name) for table, column in fed_columns(task) if column.categories)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        column_of(self, fed(self, task, self.table), self.column, lambda held: bool(held.categories), "categories")
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        rows = some_rows(rng, np.arange(feed.size), self.share)
        cases = rng.integers(len(_CASES), size=len(rows))
        held = feed.columns[self.column].take(rows).to_pylist()
        texts = [None if text is None else _CASES[case](text) for text, case in zip(held, cases, strict=True)]
        feed.put(self.column, rows, texts, self.name)
        damage.undo(self.name, self.table, "cast_to_string", self.column)
