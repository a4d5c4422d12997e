"""Text arrives garbled: UTF-8 that was read as Windows-1252, and stray blanks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow.compute as pc

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage
from mario_dagster.incidents.formatting import plain

from .base import Fault, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns, is_text

_CHARACTERS = tuple(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256))
_FRAMES = (" {}", "{} ", "  {} ", "{}\t")


@dataclass(frozen=True)
class GarbledText(Fault):
    """Letters beyond ASCII turn into two, and some texts get blanks at their ends or wider ones within.

    Args:
        mojibake: share of the texts beyond ASCII that are garbled, at least one.
        blanks: share of all texts that get blanks, at least one.
        rounds: how many times over the text was misread.
    """

    needs: ClassVar[str] = "a feed's text column that is no category"
    table: str
    column: str
    mojibake: tuple[float, float] = (0.6, 1.0)
    blanks: tuple[float, float] = (0.15, 0.4)
    rounds: int = 1

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name, column.name) for table, column in fed_columns(task) if is_text(column))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        column_of(self, fed(self, task, self.table), self.column, is_text, "text that is no category")
        yield Conflict(self.table, self.column, "spelling")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        texts = plain(feed.columns[self.column], feed.column(self.column))
        said = np.flatnonzero(pc.is_valid(texts).to_numpy(zero_copy_only=False))
        foreign = np.array([index for index in said if not texts[index].as_py().isascii()], dtype=np.int64)
        damaged: dict[int, str] = {}
        for row in some_rows(rng, foreign, self.mojibake):
            damaged[int(row)] = mojibake(texts[int(row)].as_py(), self.rounds)
        for row in some_rows(rng, said, self.blanks):
            text = damaged.get(int(row), texts[int(row)].as_py())
            frame = _FRAMES[int(rng.integers(len(_FRAMES)))]
            damaged[int(row)] = frame.format(text.replace(" ", "  ", int(rng.integers(2))))
        rows = sorted(damaged)
        feed.put(self.column, np.array(rows, dtype=np.int64), [damaged[row] for row in rows], self.name)
        damage.undo(self.name, self.table, "cast_to_string", self.column)


def mojibake(text: str, rounds: int = 1) -> str:
    """The text's UTF-8 read as Windows-1252 (as Latin-1 where 1252 has no such byte), so many times over."""
    for _ in range(rounds):
        text = "".join(_CHARACTERS[byte] for byte in text.encode())
    return text
