"""A category that is allowed, and all but unheard of, occurs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.frames import as_type

from .base import Fault
from .benign import BenignAnomaly
from .conflicts import Conflict, Material, column_of, fed, fed_columns


@dataclass(frozen=True)
class RareCategory(BenignAnomaly):
    """One of a column's categories stands in a single row of the feed; the rows that had it have others."""

    needs: ClassVar[str] = "a column of more than two categories in a feed that comes in one piece"
    table: str
    column: str

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (
            cls(table.name, column.name)
            for table, column in fed_columns(task)
            if len(column.categories) > 2 and not table.batched
        )

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        wants = "categories, more than two, of a feed in one piece"
        column_of(self, table, self.column, lambda held: len(held.categories) > 2 and not table.batched, wants)
        yield Conflict(self.table, self.column, "rarity")

    def prelude(self, workspace: CleanData, task: Task, rng: np.random.Generator) -> CleanData:
        table = task.table(self.table)
        frame = workspace.feeds[str(table.feed)]
        held = np.array(frame[self.column].tolist(), dtype=object)
        known = sorted({each for each in held if each is not None})
        if len(known) < 2:
            why = f"it makes one of several categories rare, and there are {len(known)}"
            raise CannotStrike(self.name, f"{self.table}.{self.column}", why)
        rare = str(rng.choice(known))
        others = [each for each in known if each != rare]
        rows = rng.permutation(np.flatnonzero(held == rare))[1:]
        held[rows] = rng.choice(others, len(rows))
        values = as_type(pd.Series(held, index=frame.index), "string")
        return replace(workspace, feeds={**workspace.feeds, str(table.feed): frame.assign(**{self.column: values})})
