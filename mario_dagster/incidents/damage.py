"""The bench on which faults work: a task's feeds as the producer redelivers them, and the pipeline's state.

In: clean data. Out, after the faults have been injected: the landing frames, the manifest's records, the repairs that
are called for. A feed is held as one run of rows over all batches, by contract column names, each row knowing its batch
and which clean row it is; names, order and batches are made at the end, so that faults compose in any number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.action import Action
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.task import Column, Table, Task
from mario_dagster.tables.clean_data import CleanData, split_rows
from mario_dagster.tables.frames import from_arrow, to_arrow

from .formatting import plain

# Rows' places within a batch: genuine ones keep theirs, then come trailer lines, then what a retry wrote again.
TRAILER_PLACE, RETRY_PLACE = 1e9, 2e9
UNBATCHED = "c01"


# Beyond it a float64 skips integers: no cast reads such a number from text exactly.
EXACT = 2**53
MAX_KEY = 2**63 - 1


class FaultError(RuntimeError):
    """Faults that do not go together, or do not fit the table they strike: an error in a profile."""


class CannotStrike(FaultError):
    """A fault that fits a task's tables, and finds nothing in one incident's data that it could change.

    Args:
        fault: its name.
        where: the table or column that it was to strike.
        why: what it needs and what there is, in words.
    """

    def __init__(self, fault: str, where: str, why: str):
        super().__init__(f"{fault} cannot strike {where}: {why}")
        self.fault = fault


@dataclass(frozen=True)
class Added:
    """Rows added to a feed: what kind, and by which fault."""

    kind: str
    fault: str


class Feed:
    """One feed under damage. Arrays have one entry a row."""

    def __init__(self, table: Table, batches: Sequence[str], frames: Sequence[pd.DataFrame]):
        self.table, self.batches = table, tuple(batches)
        clean = to_arrow(pd.concat(frames, ignore_index=True))
        self.clean: dict[str, pa.Array] = {name: _flat(clean.column(name)) for name in clean.column_names}
        self.columns = dict(self.clean)
        sizes = [len(frame) for frame in frames]
        self.batch = np.repeat(np.arange(len(sizes)), sizes)
        self.origin = np.arange(clean.num_rows)
        self.place = self.origin.astype(np.float64)
        self.kind = np.full(clean.num_rows, -1)  # index into `added`; -1 for a genuine row
        self.added: list[Added] = []
        self.names = {name: name for name in self.columns}
        self.order = list(self.columns)
        self.extras: dict[str, str] = {}  # column that the contract lacks -> fault
        self.faults: dict[str, list[str]] = {}  # column -> faults that changed how it lands
        self.writer: dict[str, np.ndarray] = {}  # column -> index into `faults[column]` of each cell's last writer
        self.lost: dict[str, np.ndarray] = {}

    @property
    def size(self) -> int:
        return len(self.batch)

    @property
    def genuine(self) -> np.ndarray:
        return self.kind < 0

    def column(self, name: str) -> Column:
        return self.table.column(name)

    def is_text(self, name: str) -> bool:
        return bool(pa.types.is_string(self.columns[name].type))

    def typed(self, name: str, fault: str) -> pa.Array:
        """A column's values in contract type, to be respelt.

        Raises:
            FaultError: another fault has done so.
            CannotStrike: a number is too large for its text to be read back exactly.
        """
        column = self.column(name)
        if column.type != "string" and self.faults.get(name):
            raise FaultError(f"{fault} cannot respell {self.table.name}.{name}: {self.faults[name][0]} has already")
        self._writable(name, fault)
        return self.columns[name]

    def new_keys(self, steps: np.ndarray, keys: pa.Array, beyond: int, fault: str) -> pa.Array:
        """Keys of rows that nobody sent, ascending: `steps`, added up, from `beyond` the largest of `keys`.

        Raises:
            CannotStrike: there is no key to count from, or no room after it.
        """
        key, newest = self.table.key, pc.max(keys).as_py()
        if newest is None or newest + beyond + int(steps.sum()) > MAX_KEY:
            why = "it has no key" if newest is None else f"no integer is left after its largest key, {newest}"
            raise CannotStrike(fault, f"{self.table.name}.{key}", why)
        return pa.array(newest + beyond + np.cumsum(steps))

    def rewrite(self, name: str, values: pa.Array, fault: str) -> None:
        """Replace a whole column: the feed spells, or types, it otherwise now."""
        self.columns[name] = values
        self._wrote(name, np.ones(self.size, dtype=bool), fault)

    def put(self, name: str, rows: np.ndarray, texts: Sequence[str | None], fault: str, lost: bool = False) -> None:
        """Overwrite cells, by ascending row index, with texts or nulls; a text turns a typed column into text.

        Raises:
            CannotStrike: a number beside them is too large for its text to be read back exactly.
        """
        if any(text is not None for text in texts) and not self.is_text(name):
            self._writable(name, fault)
            self.columns[name] = plain(self.columns[name], self.column(name))
        mask = np.zeros(self.size, dtype=bool)
        mask[rows] = True
        values = pa.array(list(texts), pa.string()).cast(self.columns[name].type)
        self.columns[name] = pc.replace_with_mask(self.columns[name], pa.array(mask), values)
        self._wrote(name, mask, fault)
        if lost:
            self.lost.setdefault(name, np.zeros(self.size, dtype=bool))[rows] = True

    def repeat(self, rows: np.ndarray, kind: str, fault: str, place: np.ndarray) -> np.ndarray:
        """Append exact copies of rows and return their indices; the caller may then change them with `assign`."""
        start = self.size
        taken = pa.array(rows)
        self.columns = {name: pa.concat_arrays([held, held.take(taken)]) for name, held in self.columns.items()}
        self.batch = np.concatenate([self.batch, self.batch[rows]])
        self.origin = np.concatenate([self.origin, self.origin[rows]])
        self.place = np.concatenate([self.place, place])
        self.kind = np.concatenate([self.kind, np.full(len(rows), len(self.added))])
        self.added.append(Added(kind, fault))
        for held in (self.writer, self.lost):
            for name, values in held.items():
                held[name] = np.concatenate([values, values[rows]])
        return np.arange(start, self.size)

    def assign(self, name: str, rows: np.ndarray, values: pa.Array) -> None:
        """Set cells of added rows, in the column's own type."""
        mask = np.zeros(self.size, dtype=bool)
        mask[rows] = True
        self.columns[name] = pc.replace_with_mask(
            self.columns[name], pa.array(mask), values.cast(self.columns[name].type)
        )

    def extend(self, name: str, values: pa.Array, position: int, fault: str) -> None:
        """Add a column that the contract does not know."""
        self.columns[name] = values
        self.names[name] = name
        self.order.insert(position, name)
        self.extras[name] = fault

    def rename(self, name: str, landed_as: str, fault: str) -> None:
        if landed_as in self.names.values():
            raise FaultError(f"{fault}: {self.table.name} already has a column '{landed_as}'")
        self.names[name] = landed_as
        self.faults.setdefault(name, []).append(fault)

    def contract_order(self) -> tuple[str, ...]:
        """Every landed column once repaired: the contract's in its order, then those it does not know."""
        return (*self.table.column_names, *(name for name in self.order if name in self.extras))

    def keys(self) -> list[str | None]:
        """Keys as text, one a row: a genuine row's true one, however it was respelt; what landed, for an added row."""
        column = self.column(self.table.key)
        landed = plain(self.columns[self.table.key], column).to_pylist()
        true = plain(self.clean[self.table.key], column).to_pylist()
        sent = self.genuine
        return [true[self.origin[row]] if sent[row] else landed[row] for row in range(len(landed))]

    def frames(self) -> dict[str, pd.DataFrame]:
        """Batch -> frame as it lands: landed names, landed order, rows in the batch's own order."""
        order = np.lexsort((self.place, self.batch))
        rows = pa.array(order)
        table = pa.table(
            [self.columns[name].take(rows) for name in self.order], names=[self.names[n] for n in self.order]
        )
        sizes = np.bincount(self.batch, minlength=len(self.batches))
        return dict(zip(self.batches, split_rows(from_arrow(table), [int(size) for size in sizes]), strict=True))

    def _writable(self, name: str, fault: str) -> None:
        column = self.column(name)
        if column.is_number and not _exact(self.columns[name], cents=column.type == "float64"):
            why = "it holds numbers that cannot be written as text and read back exactly"
            raise CannotStrike(fault, f"{self.table.name}.{name}", why)

    def _wrote(self, name: str, mask: np.ndarray, fault: str) -> None:
        faults = self.faults.setdefault(name, [])
        faults.append(fault)
        self.writer.setdefault(name, np.full(self.size, -1))[mask] = len(faults) - 1


@dataclass
class Damage:
    """A task's data under damage: its feeds, and what the injection does to the pipeline around them."""

    task: Task
    feeds: dict[str, Feed]
    healthy: int = 0
    unavailable: int = 0  # newest batches that are announced only: their files do not come
    workers: int = 1
    floor: int | None = None  # workers that the feed takes at the least; None where the profile says
    deploys: dict[str, Deploy] = field(default_factory=dict)
    repairs: dict[Action, str] = field(default_factory=dict)  # in order, with the fault that first asked for it

    @classmethod
    def of(cls, task: Task, workspace: CleanData) -> Damage:
        feeds = {}
        for table in task.tables:
            if table.feed is None:
                continue
            if table.batched and not workspace.batches:
                raise FaultError(f"{task.slug}.{table.name} comes in batches, and its clean data has none")
            if table.batched:
                names = [batch.name for batch in workspace.batches]
                feeds[table.name] = Feed(table, names, [batch.frame for batch in workspace.batches])
            else:
                feeds[table.name] = Feed(table, [UNBATCHED], [workspace.feeds[table.feed]])
        return cls(task, feeds, healthy=len(workspace.batches))

    def feed(self, table: str) -> Feed:
        """The feed that a table is loaded from. Raises `UnknownName` for a derived table or none of the task's."""
        if table not in self.feeds:
            raise UnknownName("fed table", table, self.feeds)
        return self.feeds[table]

    @property
    def batches(self) -> int:
        """How many batches the task's batched feed has; 0 for a task without one."""
        table = self.task.batched_table
        return len(self.feed(table.name).batches) if table else 0

    def undo(self, fault: str, table: str, action: str, column: str | None = None, **fields: Any) -> None:
        """Note a repair that the fault makes necessary."""
        self.repairs.setdefault(Action.named(action, column, table=table, **fields), fault)

    def deploy(
        self, table: str, rename: Mapping[str, str], texts: Mapping[str, str], scale: Mapping[str, float]
    ) -> None:
        """Release a bad transform of a derived table, on top of what was released before."""
        held = self.deploys.get(table, Deploy())
        self.deploys[table] = Deploy({**held.rename, **rename}, {**held.texts, **texts}, {**held.scale, **scale})


@dataclass(frozen=True)
class Mark:
    """A bench as it stood at one moment: per feed its columns, names and order, and the state of the pipeline."""

    feeds: Mapping[str, tuple[Mapping[str, pa.Array], Mapping[str, str], tuple[str, ...]]]
    pipeline: tuple[Any, ...]

    @classmethod
    def of(cls, damage: Damage) -> Mark:
        feeds = {name: (dict(f.columns), dict(f.names), tuple(f.order)) for name, f in damage.feeds.items()}
        return cls(feeds, (damage.healthy, damage.unavailable, damage.floor, dict(damage.deploys)))

    def differs(self, later: Mark) -> bool:
        """Whether anything has landed differently, or the pipeline stands differently, since."""
        if self.pipeline != later.pipeline:
            return True
        for name, (columns, names, order) in self.feeds.items():
            columns_now, names_now, order_now = later.feeds[name]
            if (names, order) != (names_now, order_now):
                return True
            if any(columns_now[c] is not held and not columns_now[c].equals(held) for c, held in columns.items()):
                return True
        return False


def _exact(values: pa.Array, cents: bool) -> bool:
    """Whether every number is one that text carries exactly: an integer, or a whole count of cents, below 2**53."""
    held = pc.drop_null(values).to_numpy(zero_copy_only=False)
    if not cents:
        return not len(held) or (int(held.min()) >= -EXACT and int(held.max()) <= EXACT)
    return bool((np.isfinite(held) & (np.abs(held) <= EXACT / 100)).all())


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
