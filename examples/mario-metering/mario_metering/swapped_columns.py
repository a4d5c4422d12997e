"""Two columns trade names: every value is there, under the other's heading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mario_dagster.plugin import Conflict, Damage, Fault, Stage, Task, column_of, fed, one


@dataclass(frozen=True)
class SwappedColumns(Fault):
    """A producer writes two columns of a feed under each other's names.

    No name is missing and none is strange, so that only the values tell: they break the pattern or the categories of
    the column they stand in. It is undone with three renames, since one of the two has to step aside first.

    Args:
        pairs: columns that may trade names; the seed draws one pair. Values of one must not fit the other.
    """

    stage: ClassVar[Stage] = Stage.SCHEMA
    table: str
    pairs: tuple[tuple[str, str], ...]

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        for name in dict.fromkeys(name for pair in self.pairs for name in pair):
            column_of(self, table, name, lambda held: bool(held.pattern or held.categories), "a pattern or categories")
        yield Conflict(self.table, None, "names")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed, (left, right) = damage.feed(self.table), one(rng, self.pairs)
        aside = f"{left}_aside"
        feed.rename(left, aside, self.name)
        feed.rename(right, left, self.name)
        feed.rename(left, right, self.name)
        for landed_as, name in ((left, aside), (right, left), (aside, right)):
            damage.undo(self.name, self.table, "rename_column", landed_as, new_name=name)
