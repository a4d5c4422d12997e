"""Batches are late: their loads never ran, for want of workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike, Damage, FaultError

from .base import Fault, Stage
from .conflicts import Conflict, Material


@dataclass(frozen=True)
class LateBatches(Fault):
    """Only the first few batches had loaded when the pool was starved.

    Args:
        healthy: how many had, from least to most.
        workers: pool slots that are left.
    """

    stage: ClassVar[Stage] = Stage.PIPELINE
    needs: ClassVar[str] = "a feed that comes in batches"
    healthy: tuple[int, int] = (3, 4)
    workers: int = 1

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(), cls(workers=2)) if task.batched_table else ()

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        if task.batched_table is None:
            raise FaultError(f"{self.name} does not fit task '{task.slug}': none of its tables comes in batches")
        yield Conflict(task.batched_table.name, None, "late batches")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        least, most = self.healthy
        if damage.batches <= least:
            why = f"it leaves {least} batches loaded at the least, and there are {damage.batches}"
            raise CannotStrike(self.name, damage.task.slug, why)
        damage.healthy = int(rng.integers(least, min(most, damage.batches - 1) + 1))
        damage.workers = self.workers
