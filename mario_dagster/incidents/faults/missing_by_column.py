"""Values are missing where another column says: a form skipped its question for some kinds of rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import Feed

from .base import Fault
from .conflicts import Conflict, Material, column_of, fed, fed_columns
from .lost_values import LostValues

# Values go missing in one third of the rows, by the order of what they depend on.
THIRD = 3


@dataclass(frozen=True)
class MissingByColumn(LostValues):
    """Lost values, all of them in the third of the rows that is lowest, or highest, in another column.

    Args:
        cause: the column that decides which rows may lose their value.
    """

    needs: ClassVar[str] = (
        "a feed's number whose values may be lost, as a train profile with LostValues says, and a column to depend on"
    )
    cause: str = field(kw_only=True)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table, column in fed_columns(task):
            if (table.name, column.name) in material.losable and column.is_number:
                for cause in table.columns:
                    if cause.name not in (column.name, table.key) and not cause.references:
                        yield cls(table.name, column.name, (None,), (0.06, 0.15), most=1, cause=cause.name)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        column_of(self, fed(self, task, self.table), self.cause, lambda _: True, "a column")
        return super().conflicts(task)

    def exposed(self, feed: Feed, rng: np.random.Generator) -> np.ndarray:
        return extreme_third(feed, self.cause, rng)


def extreme_third(feed: Feed, column: str, rng: np.random.Generator) -> np.ndarray:
    """Genuine rows, ascending, that are in the lowest or in the highest third by a column's clean values."""
    genuine = np.flatnonzero(feed.genuine)
    values = feed.clean[column].take(pa.array(feed.origin[genuine]))
    order = pc.sort_indices(values).to_numpy()
    size = max(1, len(order) // THIRD)
    return np.asarray(np.sort(genuine[order[:size] if rng.integers(2) else order[-size:]]))
