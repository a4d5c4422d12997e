"""A column arrives that looks like one of the contract's, beside the one that was renamed.

How a careful player tells them apart, so that it is never a coin flip: a `part` (net of gross, shipped of ordered) does
not multiply with price and quantity as the contract's description says, which samples show and `validate_schema` adds
up, or it leaves the contract's range; `shared` numbers repeat where a key may not; `foreign` ones are in no table that
the column refers to. Where none of that can be, a family names the two so that the contract's description tells which
is meant. No moment has a look-alike: the wrong one would pass every check and cost too little.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import Task
from mario_dagster.incidents.damage import EXACT, CannotStrike, Damage, FaultError, Feed

from .base import Fault, Stage, one, some_rows
from .conflicts import Conflict, column_of, fed

Kinship = Literal["part", "shared", "foreign"]
# Share of the rows whose number is another row's, where numbers are shared.
SHARED = (0.1, 0.2)
# How far beyond the contract's own numbers another system's begin.
BEYOND = (2_000, 7_000)


@dataclass(frozen=True)
class LookalikeColumn(Fault):
    """The producer added a column that may be taken for a contract column; it needs no repair and must not get one.

    Args:
        column: the contract column that it looks like; it strikes beside a rename of that one, and is idle without.
        names: what it may be called.
        kinship: what its values have to do with the column's own; see above.
        factor: of a `part`: range of what each value is multiplied with.
    """

    stage: ClassVar[Stage] = Stage.SCHEMA
    harmless: ClassVar[bool] = True
    table: str
    column: str
    names: tuple[str, ...]
    kinship: Kinship = "part"
    factor: tuple[float, float] = (0.55, 0.9)

    def conflicts(self, task: Task) -> Iterable[Conflict]:
        table = fed(self, task, self.table)
        fits, wants = {
            "part": (lambda held: held.is_number, "a number to take a part of"),
            "shared": (lambda held: held.name == table.key and held.type == "int64", "the key, an integer"),
            "foreign": (lambda held: bool(held.references) and held.type == "int64", "a reference by an integer"),
        }[self.kinship]
        column_of(self, table, self.column, fits, wants)
        taken = sorted(set(self.names).intersection(table.column_names))
        if taken:
            raise FaultError(f"{self.name} does not fit {task.slug}.{table.name}: its contract has a '{taken[0]}'")
        yield Conflict(self.table, self.column, "extra columns")

    def inject(self, damage: Damage, rng: np.random.Generator) -> None:
        feed = damage.feed(self.table)
        true = feed.clean[self.column].take(pa.array(feed.origin))
        if true.null_count or not _small(true):
            why = "its look-alike is reckoned from its values, and they are missing or too large"
            raise CannotStrike(self.name, f"{self.table}.{self.column}", why)
        values = _LIKE[self.kinship](self, feed, true, rng)
        # A line that is no record, such as a total, has none of it.
        values = pc.if_else(pc.is_valid(feed.columns[feed.table.key]), values, None)
        place = feed.order.index(self.column) + int(rng.integers(2))
        feed.extend(one(rng, self.names), values.cast(true.type), place, self.name)


def _small(values: pa.Array) -> bool:
    """Whether integers can be added to without leaving what a float64 holds exactly; floats are finite."""
    held = values.to_numpy(zero_copy_only=False)
    return bool((np.isfinite(held) & (np.abs(held) < EXACT - 2 * BEYOND[1])).all())


def _part(fault: LookalikeColumn, feed: Feed, true: pa.Array, rng: np.random.Generator) -> pa.Array:
    column = feed.column(fault.column)
    values = true.to_numpy(zero_copy_only=False) * rng.uniform(*fault.factor, size=feed.size)
    return pa.array(np.maximum(np.rint(values), 1) if column.type == "int64" else np.round(values, 2))


def _shared(fault: LookalikeColumn, feed: Feed, true: pa.Array, rng: np.random.Generator) -> pa.Array:
    values = true.to_numpy(zero_copy_only=False).copy()
    rows = some_rows(rng, np.arange(feed.size), SHARED, least=4)
    values[rows] = rng.choice(values, len(rows))
    return pa.array(values + int(rng.integers(*BEYOND)))


def _foreign(fault: LookalikeColumn, feed: Feed, true: pa.Array, rng: np.random.Generator) -> pa.Array:
    return pc.add(true, int(pc.max(true).as_py()) + int(rng.integers(*BEYOND)))


_LIKE = {"part": _part, "shared": _shared, "foreign": _foreign}
