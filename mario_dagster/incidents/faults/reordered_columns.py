"""Columns arrive in another order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.incidents.damage import Damage

from .base import Fault, Stage


@dataclass(frozen=True)
class ReorderedColumns(Fault):
    """The producer writes a feed's columns in another order, in every batch alike."""

    stage: ClassVar[Stage] = Stage.ORDER
    table: str

    def strike(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        contract = list(feed.table.column_names)
        known = contract
        while known == contract:
            feed.order = [feed.order[index] for index in rng.permutation(len(feed.order))]
            known = [name for name in feed.order if name not in feed.extras]
        damage.undo(self.name, self.table, "reorder_columns", column_order=feed.contract_order())
