"""Batches have irregular shapes: a producer closed a few early, and the next ones hold what they lack."""

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
from .conflicts import BATCH, Conflict, Material, fed, fed_tables


@dataclass(frozen=True)
class UnevenBatches(BenignAnomaly):
    """Some batches are a few rows, and the ones after them nearly twice as long; no row is lost by it.

    Args:
        batches: how many batches are short, from least to most; no two of them neighbours.
        share: of a short batch's rows that come with the next one.
    """

    needs: ClassVar[str] = "a feed that comes in batches"
    table: str
    batches: tuple[int, int] = (1, 3)
    share: tuple[float, float] = (0.6, 0.85)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name) for table in fed_tables(task) if table.batched)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        fed(self, task, self.table, batched=True)
        yield Conflict(self.table, None, "batch shapes")

    def prelude(self, workspace: CleanData, task: Task, rng: np.random.Generator) -> CleanData:
        batches = list(workspace.batches)
        count, room = int(rng.integers(self.batches[0], self.batches[1] + 1)), (len(batches) - 1) // 2
        if not room:
            why = f"a short batch and one that makes up for it need three, and there are {len(batches)}"
            raise CannotStrike(self.name, self.table, why)
        for short in 2 * rng.choice(room, min(count, room), replace=False):
            frame, after = batches[short].frame, batches[short + 1].frame
            kept = max(1, len(frame) - round(len(frame) * rng.uniform(*self.share)))
            moved = frame.iloc[kept:]
            # Rows belong to the batch that they come with, as they do in every other.
            if BATCH in moved.columns:
                name = pd.Series([batches[short + 1].name] * len(moved), index=moved.index)
                moved = moved.assign(**{BATCH: as_type(name, "string")})
            batches[short] = replace(batches[short], frame=frame.iloc[:kept].reset_index(drop=True))
            batches[short + 1] = replace(batches[short + 1], frame=pd.concat([moved, after], ignore_index=True))
        if [len(batch.frame) for batch in batches] == [len(batch.frame) for batch in workspace.batches]:
            raise CannotStrike(self.name, self.table, "its batches have no rows to spare")
        return replace(workspace, batches=tuple(batches))
