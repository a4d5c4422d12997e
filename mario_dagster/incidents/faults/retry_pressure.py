"""A storm of retries: nearly every batch is delivered twice, and the loads' workers have no rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import MAX_WORKERS, Task
from mario_dagster.incidents.damage import Damage

from .base import Fault
from .conflicts import Conflict, Material, fed, fed_tables
from .retried_load import RetriedLoad


@dataclass(frozen=True)
class RetryPressure(RetriedLoad):
    """Retried loads in most batches; the feed says that it takes every worker from now on, backlog or none.

    Args:
        workers: slots of the pool that the feed takes at the least.
    """

    needs: ClassVar[str] = "a feed that comes in batches"
    batches: tuple[int, int] = (8, 12)
    share: tuple[float, float] = (0.6, 1.0)
    workers: int = MAX_WORKERS

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        return (cls(table.name) for table in fed_tables(task) if table.batched)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        fed(self, task, self.table, batched=True)
        return super().conflicts(task)

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        super().inject(damage, rng)
        damage.floor = self.workers
