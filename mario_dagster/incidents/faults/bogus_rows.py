"""Rows arrive that nobody sent: test records with impossible amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage, one, some_rows


@dataclass(frozen=True)
class BogusRows(Fault):
    """Copies of genuine rows under new keys, with values outside their contract's plausible range.

    Args:
        values: column -> values that such a row may carry.
        drop: the numeric column whose outliers are dropped to undo it.
        share: of all rows, at least two.
    """

    stage: ClassVar[Stage] = Stage.ROWS
    table: str
    values: Mapping[str, tuple[Any, ...]]
    drop: str
    share: tuple[float, float] = (0.012, 0.025)

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        models = some_rows(rng, np.arange(feed.size), self.share, least=2)
        newest = pc.max(feed.columns[feed.table.key]).as_py()
        rows = feed.repeat(models, "bogus", self.name, feed.place[models] + 0.5)
        keys = newest + 40 + np.cumsum(rng.integers(1, 30, size=len(rows)))
        feed.assign(feed.table.key, rows, pa.array(keys))
        for column, pool in self.values.items():
            feed.assign(column, rows, pa.array([one(rng, pool) for _ in rows]))
        damage.undo(self.name, self.table, "drop_outliers", self.drop)
