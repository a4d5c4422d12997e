"""Values are lost: a word for "no value", or nothing at all, stands where one was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike, Damage, Feed

from .base import Fault, Stage, every_choice, some, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns, is_amount

Fill = Literal["fill_mean", "fill_median", "fill_forward"]


@dataclass(frozen=True)
class LostValues(Fault):
    """A few cells of a column are overwritten for good; the damage manifest marks them lost.

    Args:
        words: what may stand there: sentinels of `core/formats.py`, or None for a null.
        share: of the rows that may lose their value, at least two.
        fill: the repair that puts a value there that a grader accepts.
        least, most: how many different words one incident uses.
    """

    stage: ClassVar[Stage] = Stage.CELLS
    needs: ClassVar[str] = "a feed's column whose values may be lost, as a train profile with LostValues says"
    table: str
    column: str
    words: tuple[str | None, ...]
    share: tuple[float, float] = (0.03, 0.06)
    fill: Fill = "fill_median"
    least: int = 1
    most: int = 2

    def exposed(self, feed: Feed, rng: np.random.Generator) -> np.ndarray:
        """Rows whose values may be lost, ascending: any genuine one, whatever stands there or beside it."""
        return np.flatnonzero(feed.genuine)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if (table.name, column.name) in material.losable:
                fills: tuple[Fill, ...] = ("fill_median", "fill_mean") if column.is_number else ("fill_forward",)
                for fill in fills:
                    yield cls(table.name, column.name, material.pool.sentinels, (0.02, 0.05), fill)
                    yield cls(table.name, column.name, (None,), (0.02, 0.05), fill)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        if self.fill == "fill_forward":
            column_of(self, table, self.column, lambda held: bool(held.categories), "categories to fill forward from")
        else:
            fits = partial(is_amount, table)
            column_of(self, table, self.column, fits, f"a number that is neither key nor reference, to {self.fill}")
        yield Conflict(self.table, self.column, "values")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        rows = some_rows(rng, self.exposed(feed, rng), self.share, least=2)
        left = feed.genuine & feed.columns[self.column].is_valid().to_numpy(zero_copy_only=False)
        left[rows] = False
        if not left.any():
            raise CannotStrike(self.name, f"{self.table}.{self.column}", f"it would have no value left to {self.fill}")
        words = some(rng, self.words, self.least, self.most)
        texts = [words[index] for index in every_choice(rng, len(rows), len(words))]
        feed.put(self.column, rows, texts, self.name, lost=True)
        column = feed.column(self.column)
        if any(word is not None for word in words):
            cast = {"int64": "cast_to_int", "float64": "cast_to_float"}.get(column.type, "cast_to_string")
            damage.undo(self.name, self.table, cast, self.column)
        damage.undo(self.name, self.table, self.fill, self.column)
