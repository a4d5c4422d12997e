"""A batch landed late, and is complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike, FaultError
from mario_dagster.tables.clean_data import CleanData

from .base import Fault
from .benign import BenignAnomaly
from .conflicts import Conflict, Material


@dataclass(frozen=True)
class SlowBatch(BenignAnomaly):
    """One batch took most of the time until the next one to arrive; nothing is wrong with it.

    Args:
        share: of the time between its usual landing and that of the batch after it.
    """

    needs: ClassVar[str] = "a feed that comes in batches"
    share: tuple[float, float] = (0.5, 0.9)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(),) if task.batched_table else ()

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        if task.batched_table is None:
            raise FaultError(f"{self.name} does not fit task '{task.slug}': none of its tables comes in batches")
        yield Conflict(task.batched_table.name, None, "landing times")

    def prelude(self, workspace: CleanData, task: Task, rng: np.random.Generator) -> CleanData:
        batches = list(workspace.batches)
        if len(batches) < 3:
            why = f"a batch between two others is late, and there are {len(batches)}"
            raise CannotStrike(self.name, task.slug, why)
        slow = int(rng.integers(1, len(batches) - 1))
        usual, following = batches[slow].landed_at, batches[slow + 1].landed_at
        late = usual + (following - usual) * float(rng.uniform(*self.share))
        batches[slow] = replace(batches[slow], landed_at=late.replace(second=0, microsecond=0))
        return replace(workspace, batches=tuple(batches))
