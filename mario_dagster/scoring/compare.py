"""Tables compared with the truth, cell by cell: what every part of a score is made of.

In: tables as stored, the reference, the cells that are lost. Out: shares of 0 to 1. Pure: no Dagster, no files.
Everything is computed again from the tables; no check result is trusted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.checks.differences import CENT
from mario_dagster.core.task import Column, Table
from mario_dagster.tables.frames import ARROW, distinct, to_arrow
from mario_dagster.tables.parsing import is_sentinel

from .lost import LostCells, among, keys_of

TABLE_WEIGHTS: Mapping[str, float] = {"completeness": 0.20, "validity": 0.20, "consistency": 0.30, "accuracy": 0.30}


@dataclass(frozen=True)
class PipelineState:
    """What the score needs of a pipeline besides its tables.

    Args:
        loaded, pending: batches that are materialized, and that are not.
        lag_minutes: age of the oldest landed data that derived tables do not show.
        stale: a derived table is older than its inputs.
        workers, required_workers: slots of the pool, and what the backlog takes.
        late: batches that were pending when the incident struck.
    """

    loaded: int = 0
    pending: int = 0
    lag_minutes: float = 0.0
    stale: bool = False
    workers: int = 0
    required_workers: int = 0
    late: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What the grader holds against the tables: the reference, and the cells whose value is nowhere.

    Args:
        named: tells one truth from any other; None for one that is not told apart.
    """

    tables: Mapping[str, pd.DataFrame]
    lost: Mapping[str, LostCells] = field(default_factory=dict)
    named: Hashable = None


def weighed(parts: Mapping[str, float]) -> float:
    """One table's score, 0 to 1, from its parts: completeness, validity, consistency and accuracy."""
    return sum(TABLE_WEIGHTS[name] * value for name, value in parts.items())


def table_parts(
    table: Table, frame: pd.DataFrame | None, reference: pd.DataFrame, lost: LostCells = frozenset()
) -> dict[str, float]:
    """The four parts of a table's score, 0 to 1 each.

    All are shares of the larger of the two tables, so that lost rows and invented rows both cost in every part.
    """
    if frame is None or frame.empty or len(frame.columns) == 0:
        return dict.fromkeys(TABLE_WEIGHTS, 0.0)
    held, true = to_arrow(frame), to_arrow(reference)
    rows = max(len(frame), len(reference))
    present = valid = 0
    for column in table.columns:
        if column.name in held.column_names:
            present += rows_of(held) - held.column(column.name).null_count - _words_for_none(held, column)
            valid += count(valid_cells(held.column(column.name), column))
    pairs = align(table, held, true)
    cells = rows * len(table.columns)
    return {
        "completeness": present / cells,
        "validity": valid / cells,
        "consistency": pairs.matched / rows if pairs else 0.0,
        "accuracy": _accuracy(table, pairs, true, lost) if pairs else 0.0,
    }


def _words_for_none(held: pa.Table, column: Column) -> int:
    """Cells of a number, a moment or a category that hold a word for "no value": what a cast would make null."""
    values = held.column(column.name)
    if not pa.types.is_string(values.type) or (column.type == "string" and not column.categories):
        return 0
    known = pc.is_in(values, value_set=pa.array(column.categories, pa.string()))
    return count(pc.and_not(is_sentinel(values), known).fill_null(False))


@dataclass(frozen=True)
class Pairs:
    """Rows of a stored table and of the reference that have the same key, side by side.

    Args:
        union: keys that are in either table.
    """

    held: pa.Table
    true: pa.Table
    union: int

    @property
    def matched(self) -> int:
        return rows_of(self.true)


def align(table: Table, held: pa.Table, true: pa.Table) -> Pairs | None:
    """Stored rows beside the reference's of the same key; of a key that occurs twice, the first counts.

    None when the key column is missing or in another type: rows that cannot be told apart match nothing.
    """
    if not has_type(held, table.column(table.key)):
        return None
    keys, wanted = held.column(table.key).combine_chunks(), true.column(table.key).combine_chunks()
    size = distinct(keys)
    if keys.equals(wanted) and size == len(keys):
        return Pairs(held, true, size)
    place = pc.index_in(wanted, value_set=keys, skip_nulls=True)
    found = pc.is_valid(place)
    return Pairs(held.take(place.filter(found)), true.filter(found), true.num_rows + size - count(found))


def has_type(held: pa.Table, column: Column) -> bool:
    """The column is there, in its contract's type."""
    return column.name in held.column_names and held.schema.field(column.name).type.equals(
        ARROW[column.type].pyarrow_dtype
    )


def valid_cells(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Which cells have the contract's type and lie in its range, pattern or categories; null is not valid."""
    if not values.type.equals(ARROW[column.type].pyarrow_dtype):
        return pa.chunked_array([pa.nulls(len(values), pa.bool_()).fill_null(False)])
    good = pc.is_valid(values)
    if column.minimum is not None:
        good = pc.and_(good, pc.greater_equal(values, column.minimum).fill_null(False))
    if column.maximum is not None:
        good = pc.and_(good, pc.less_equal(values, column.maximum).fill_null(False))
    if column.categories:
        good = pc.and_(good, pc.is_in(values, value_set=pa.array(column.categories)))
    if column.pattern:
        good = pc.and_(good, pc.match_substring_regex(values, f"^(?:{column.pattern})$").fill_null(False))
    return good


def right_cells(pairs: Pairs, column: Column) -> pa.ChunkedArray:
    """Which cells of aligned rows hold the truth."""
    if not has_type(pairs.held, column):
        return pa.chunked_array([pa.nulls(pairs.matched, pa.bool_()).fill_null(False)])
    here, there = pairs.held.column(column.name), pairs.true.column(column.name)
    if column.type == "float64":
        return pc.less(pc.abs(pc.subtract(here, there)), CENT).fill_null(False)
    return pc.equal(here, there).fill_null(False)


def _accuracy(table: Table, pairs: Pairs, true: pa.Table, lost: LostCells) -> float:
    """Share of right cells over the union of keys, but for cells whose value is lost: what stands there is a guess."""
    right, cells = 0, pairs.union * len(table.columns)
    for column in table.columns:
        good, gone = right_cells(pairs, column), keys_of(lost, column.name)
        if gone:
            good = pc.and_(good, pc.invert(among(pairs.true.column(table.key), gone)))
            cells -= count(among(true.column(table.key), gone))
        right += count(good)
    return right / cells if cells else 0.0


def count(mask: pa.ChunkedArray | pa.Array) -> int:
    """How many are true."""
    return int(pc.sum(mask).as_py() or 0)


def rows_of(table: pa.Table) -> int:
    return int(table.num_rows)
