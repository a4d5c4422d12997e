"""Values are missing because of what they are: the largest were refused, or the smallest not worth writing down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Feed

from .base import Fault
from .conflicts import Material, fed_columns
from .lost_values import LostValues
from .missing_by_column import extreme_third


@dataclass(frozen=True)
class MissingByValue(LostValues):
    """Lost values, all of them in the third of the rows that is lowest, or highest, in the column itself."""

    needs: ClassVar[str] = "a feed's number whose values may be lost, as a train profile with LostValues says"

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if (table.name, column.name) in material.losable and column.is_number:
                yield cls(table.name, column.name, (None,), (0.06, 0.15), most=1)
                yield cls(table.name, column.name, material.pool.sentinels, (0.06, 0.15))

    def exposed(self, feed: Feed, rng: np.random.Generator) -> np.ndarray:
        return extreme_third(feed, self.column, rng)
