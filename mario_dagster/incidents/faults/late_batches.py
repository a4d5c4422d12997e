"""Batches are late: their loads never ran, for want of workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage


@dataclass(frozen=True)
class LateBatches(Fault):
    """Only the first few batches had loaded when the pool was starved.

    Args:
        healthy: how many had, from least to most.
        workers: pool slots that are left.
    """

    stage: ClassVar[Stage] = Stage.PIPELINE
    healthy: tuple[int, int] = (3, 4)
    workers: int = 1

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        least, most = self.healthy
        damage.healthy = int(rng.integers(least, most + 1))
        damage.workers = self.workers
