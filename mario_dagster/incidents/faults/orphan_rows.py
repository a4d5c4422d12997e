"""Rows arrive that belong to nobody: their reference is a word for "none", or missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage, every_choice, some, some_rows
from .conflicts import Conflict, Material, column_of, fed, fed_columns, numbered

# Their keys are a series of their own, beyond whatever other faults number their rows with.
_APART = 40


@dataclass(frozen=True)
class OrphanRows(Fault):
    """Copies of genuine rows under new keys that no producer meant to send, such as carts that nobody paid for.

    Args:
        column: the reference that they lack.
        words: what may stand there: sentinels of `core/formats.py`, or None for a null.
        share: of the genuine rows, at least two.
        least, most: how many different words one incident uses.
    """

    stage: ClassVar[Stage] = Stage.CELLS
    needs: ClassVar[str] = "a feed's column that refers to another table"
    table: str
    column: str
    words: tuple[str | None, ...]
    share: tuple[float, float] = (0.01, 0.03)
    least: int = 1
    most: int = 2

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if column.references:
                yield cls(table.name, column.name, (*material.pool.sentinels, None))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        numbered(self, table)
        column_of(self, table, self.column, lambda held: bool(held.references), "a reference")
        # What is dropped for its missing reference would be dropped with it: rows that lack other things as well.
        yield Conflict(self.table, None, "total lines")
        yield Conflict(self.table, None, "torn rows")
        yield Conflict(self.table, self.column, "values")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        models = some_rows(rng, np.flatnonzero(feed.genuine), self.share, least=2)
        keys, beyond = feed.clean[feed.table.key], _APART * feed.size
        rows = feed.repeat(models, "orphan", self.name, feed.place[models] + 0.25)
        steps = rng.integers(1, 30, size=len(rows))
        feed.assign(feed.table.key, rows, feed.new_keys(steps, keys, beyond, self.name))
        words = some(rng, self.words, self.least, self.most)
        texts = [words[index] for index in every_choice(rng, len(rows), len(words))]
        feed.put(self.column, rows, texts, self.name)
        if any(word is not None for word in words):
            column = feed.column(self.column)
            cast = {"int64": "cast_to_int", "float64": "cast_to_float"}.get(column.type, "cast_to_string")
            damage.undo(self.name, self.table, cast, self.column)
        damage.undo(self.name, self.table, "drop_nulls", self.column)
