"""Values are lost: a word for "no value", or nothing at all, stands where one was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage, every_choice, some, some_rows

Fill = Literal["fill_mean", "fill_median", "fill_forward"]


@dataclass(frozen=True)
class LostValues(Fault):
    """A few cells of a column are overwritten for good; the ledger marks them lost.

    Args:
        words: what may stand there: sentinels of `catalog.marks`, or None for a null.
        share: of the genuine rows, at least two.
        fill: the repair that puts a value there that a grader accepts.
        least, most: how many different words one incident uses.
    """

    stage: ClassVar[Stage] = Stage.CELLS
    table: str
    column: str
    words: tuple[str | None, ...]
    share: tuple[float, float] = (0.03, 0.06)
    fill: Fill = "fill_median"
    least: int = 1
    most: int = 2

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        rows = some_rows(rng, np.flatnonzero(feed.genuine), self.share, least=2)
        words = some(rng, self.words, self.least, self.most)
        texts = [words[index] for index in every_choice(rng, len(rows), len(words))]
        feed.put(self.column, rows, texts, self.name, lost=True)
        column = feed.column(self.column)
        if any(word is not None for word in words):
            cast = {"int64": "cast_to_int", "float64": "cast_to_float"}.get(column.type, "cast_to_string")
            damage.undo(self.name, self.table, cast, self.column)
        damage.undo(self.name, self.table, self.fill, self.column)
