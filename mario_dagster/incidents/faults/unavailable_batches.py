"""Batches are announced, and their files never come: the producer's upload keeps failing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import CannotStrike, Damage, FaultError

from .base import Fault, Stage
from .conflicts import Conflict


@dataclass(frozen=True)
class UnavailableBatches(Fault):
    """The newest batches stand in the manifest, and nothing of them in the landing zone.

    No repair undoes it, and no plan may publish while it lasts: all other batches are loaded and repaired, and the rest
    is waited for. It is asked for by profiles only: a composed incident ends in a commit.

    Args:
        count: how many batches, from least to most.
    """

    stage: ClassVar[Stage] = Stage.PIPELINE
    count: tuple[int, int] = (1, 2)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        if task.batched_table is None:
            raise FaultError(f"{self.name} does not fit task '{task.slug}': none of its tables comes in batches")
        yield Conflict(task.batched_table.name, None, "missing files")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        list(self.conflicts(damage.task))
        least, most = self.count
        if damage.batches <= least:
            why = f"it withholds {least} batches at the least of {damage.batches}, and one has to come"
            raise CannotStrike(self.name, damage.task.slug, why)
        damage.unavailable = int(rng.integers(least, min(most, damage.batches - 1) + 1))
