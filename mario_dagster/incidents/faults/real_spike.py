"""Business was good: a run of orders, or of customers, is far larger than usual, and really is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from mario_dagster.core.task import Table, Task
from mario_dagster.incidents.damage import CannotStrike
from mario_dagster.tables.clean_data import CleanData, split_rows
from mario_dagster.tables.frames import as_type
from mario_dagster.tables.repairs import outlier_mask

from .base import Fault
from .benign import BenignAnomaly
from .conflicts import Conflict, Material, column_of, fed, fed_tables, is_amount


@dataclass(frozen=True)
class RealSpike(BenignAnomaly):
    """The amounts of neighbouring rows are several times what they are elsewhere, all within the contract.

    Args:
        columns: numbers that grow together: pieces and what they come to, or an amount alone. Whole numbers first.
        factor: how many times as large.
        share: of the rows of the table, or of the batch that has the spike.
    """

    needs: ClassVar[str] = "a feed's number that grows with business: a quantity, or an amount beside no price"
    table: str
    columns: tuple[str, ...]
    factor: tuple[float, float] = (2.5, 5.0)
    share: tuple[float, float] = (0.06, 0.12)

    @classmethod
    def fitting(cls, task: Task, material: Material) -> Iterable[Fault]:
        for table in fed_tables(task):
            whole = tuple(name.name for name in table.columns if name.name == "quantity")
            money = tuple(c.name for c in table.columns if c.type == "float64" and is_amount(table, c))
            # A price is what orders are reckoned with: it does not grow with them.
            if (whole or money) and "unit_price" not in money:
                yield cls(table.name, (*whole, *money))

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        for name in self.columns:
            column_of(self, table, name, lambda held: is_amount(table, held), "a number, no key and no reference")
        yield Conflict(self.table, None, "spike")

    def prelude(self, workspace: CleanData, task: Task, rng: np.random.Generator) -> CleanData:
        table = task.table(self.table)
        if not table.batched:
            feed = str(table.feed)
            return replace(workspace, feeds={**workspace.feeds, feed: self._grown(workspace.feeds[feed], table, rng)})
        # A spike does not mind where one batch ends and the next begins.
        whole = pd.concat([batch.frame for batch in workspace.batches], ignore_index=True)
        frames = split_rows(self._grown(whole, table, rng), [len(batch.frame) for batch in workspace.batches])
        batches = tuple(replace(batch, frame=frame) for batch, frame in zip(workspace.batches, frames, strict=True))
        return replace(workspace, batches=batches)

    def _grown(self, frame: pd.DataFrame, table: Table, rng: np.random.Generator) -> pd.DataFrame:
        """The frame with a run of its rows grown, as far as no value of the column becomes an outlier by it.

        Raises:
            CannotStrike: none can grow so far.
        """
        if frame[list(self.columns)].isna().to_numpy().any() or not len(frame):
            raise CannotStrike(self.name, self.table, "some of its amounts are missing")
        size = max(3, round(len(frame) * rng.uniform(*self.share)))
        start = int(rng.integers(0, max(1, len(frame) - size)))
        factors = self._factors(frame, table, start, size, rng)
        grown = _times(frame, table, factors)
        if grown.equals(frame) or not _plausible(grown, table, self.columns):
            raise CannotStrike(self.name, self.table, "its amounts have no room to grow within their contract")
        return grown

    def _factors(
        self, frame: pd.DataFrame, table: Table, start: int, size: int, rng: np.random.Generator
    ) -> Mapping[str, np.ndarray]:
        """Column -> what each row is multiplied by; whole numbers grow by whole factors, and all columns with them."""
        wanted = rng.uniform(*self.factor, min(size, len(frame) - start))
        first = table.column(self.columns[0])
        values = frame[first.name].to_numpy(dtype=np.float64)
        most = values.max() if first.type == "int64" else (first.maximum or np.inf)
        run = values[start : start + size]
        # What is nothing stays nothing, whatever it is multiplied by.
        room = np.maximum(1.0, np.divide(most, run, out=np.ones(len(run)), where=run != 0))
        factor = np.minimum(wanted, room)
        factor = np.floor(factor) if first.type == "int64" else factor
        factors = np.ones(len(frame))
        factors[start : start + size] = factor
        return dict.fromkeys(self.columns, factors)


def _times(frame: pd.DataFrame, table: Table, factors: Mapping[str, np.ndarray]) -> pd.DataFrame:
    grown = frame.copy()
    for name, factor in factors.items():
        column = table.column(name)
        values = np.round(frame[name].to_numpy(dtype=np.float64) * factor, 0 if column.type == "int64" else 2)
        grown[name] = as_type(pd.Series(values, index=frame.index), column.type)
    return grown


def _plausible(frame: pd.DataFrame, table: Table, columns: Iterable[str]) -> bool:
    return not any(outlier_mask(frame[name], table.column(name)).any() for name in columns)
