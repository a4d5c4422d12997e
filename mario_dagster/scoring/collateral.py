"""Collateral damage: what was right when the incident struck, and is wrong or gone at the end.

In: tables then and now, the reference, the names that columns landed under. Out: a number of cells. A cell counts as
right when its value, read as any repair would read it, is the truth, under whatever name or type its column landed; so
a table that is left as it is costs nothing, and a repair costs only what it breaks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.checks.differences import CENT
from mario_dagster.core.task import Column, Table, Task
from mario_dagster.tables.frames import ARROW, column_type, distinct
from mario_dagster.tables.load import table_name
from mario_dagster.tables.parsing import parse_numbers, parse_timestamps, read_timestamps
from mario_dagster.tables.workspace import Workspace

from .lost import LostCells, among, keys_of, with_totals
from .truth import TruthStore

Tables = Mapping[str, pd.DataFrame]


def collateral(
    task: Task,
    before: Tables,
    after: Tables,
    reference: Tables,
    landed_as: Mapping[str, Mapping[str, str]],
    lost: Mapping[str, LostCells] = {},
) -> int:
    """Cells that held the truth in `before` and do not in `after`.

    Args:
        before: tables as the incident left them; one that is absent had nothing right.
        after: the same tables at the end.
        landed_as: table -> column -> the name that it landed under, for those that landed under another.
        lost: table -> cells whose value is nowhere any more, and totals of such: whatever they hold is a guess.
    """
    found = 0
    for table in task.tables:
        if table.name not in before:
            continue
        aliases = landed_as.get(table.name, {})
        rows = len(reference[table.name])
        was = _right(before[table.name], reference[table.name], table, aliases)
        now = _right(after[table.name], reference[table.name], table, aliases) if table.name in after else {}
        for name, right in was.items():
            broken = right & ~now.get(name, np.zeros(rows, dtype=bool))
            if gone := keys_of(lost.get(table.name, ()), name):
                broken &= ~among(_array(reference[table.name][table.key]), gone).to_numpy(zero_copy_only=False)
            found += int(broken.sum())
    return found


def versions(workspace: Workspace, task: Task) -> Mapping[str, int]:
    """The newest version of each stored table, to compare with later."""
    found = {name: workspace.lake.version(table_name(task, name)) for name in task.table_names}
    return {name: version for name, version in found.items() if version is not None}


def collateral_since(
    workspace: Workspace, task: Task, truth_store: TruthStore, since: Mapping[str, int], absent: tuple[str, ...] = ()
) -> int:
    """Cells that were right when the tables had these versions, and are wrong or gone now.

    Args:
        absent: batches that the truth is without.
    """
    before = {name: workspace.lake.read_at(table_name(task, name), version) for name, version in since.items()}
    after = {name: workspace.lake.read(table_name(task, name)).frame for name in versions(workspace, task)}
    reference = {name: truth_store.reference(name, absent) for name in task.table_names}
    return collateral(task, before, after, reference, truth_store.landed_as, with_totals(task, truth_store.lost))


# --- cells ------------------------------------------------------------------------------------------------------------


def _right(
    frame: pd.DataFrame, reference: pd.DataFrame, table: Table, aliases: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Column -> which of the reference's rows have the right value. Of a key that occurs twice, the first counts."""
    names = {column.name: _name(frame, column.name, aliases) for column in table.columns}
    key = names[table.key]
    if key is None:
        return {}
    keys, wanted = _read(frame[key], table.column(table.key)), _array(reference[table.key])
    in_place = keys.equals(wanted) and distinct(keys) == len(keys)
    place = None if in_place else pc.index_in(wanted, value_set=keys, skip_nulls=True)
    return {
        each.name: _equal(_taken(_read(frame[held], each), place), _array(reference[each.name]), each)
        for each in table.columns
        if (held := names[each.name]) is not None
    }


def _taken(values: pa.Array, place: pa.Array | None) -> pa.Array:
    return values if place is None else values.take(place)


def _name(frame: pd.DataFrame, column: str, aliases: Mapping[str, str]) -> str | None:
    """The name that a column goes by in a table: its contract's, or the one that it landed under."""
    return next((name for name in (column, aliases.get(column, "")) if name in frame.columns), None)


def _read(series: pd.Series, column: Column) -> pa.Array:
    """Values in contract type, as a repair would read them; what it could not read is null."""
    if column_type(series) == column.type:
        return _array(series)
    kind = ARROW[column.type].pyarrow_dtype
    if column.is_number:
        values = _array(parse_numbers(series))
        whole = pc.equal(values, pc.round(values)) if column.type == "int64" else None
        return (pc.if_else(whole, values, None) if whole is not None else values).cast(kind)
    if column.type == "date" and column_type(series) == "string":
        return read_timestamps(_array(series)).dates()  # the calendar date as written, whatever the offset
    if column.is_time:
        return _array(parse_timestamps(series)).cast(kind, safe=False)
    return _array(series).cast(kind)


def _equal(held: pa.Array, true: pa.Array, column: Column) -> np.ndarray:
    money = column.type == "float64"
    same = pc.less(pc.abs(pc.subtract(held, true)), CENT) if money else pc.equal(held, true)
    return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False))


def _array(series: pd.Series) -> pa.Array:
    array = pa.array(series, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
