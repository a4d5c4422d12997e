"""Numbers arrive as text, with currency, unit or cent marks around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.spellings import spell_rows

from .base import Fault, every_choice, some


@dataclass(frozen=True)
class SpelledNumbers(Fault):
    """Every cell of a numeric column is written with marks that say what they do to the value.

    Args:
        spellings: templates with `{value}`, `{amount}` or `{cents}`.
        least, most: how many of them one incident mixes, row by row.
    """

    table: str
    column: str
    spellings: tuple[str, ...]
    least: int = 1
    most: int = 1

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        column = feed.column(self.column)
        spellings = some(rng, self.spellings, self.least, self.most)
        choice = every_choice(rng, feed.size, len(spellings))
        feed.rewrite(self.column, spell_rows(feed.typed(self.column, self.name), column, spellings, choice), self.name)
        damage.undo(self.name, self.table, "cast_to_int" if column.type == "int64" else "cast_to_float", self.column)
