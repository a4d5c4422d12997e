"""Cells whose value is nowhere any more: what nobody can get right or wrong, only guess.

In: the cells that an incident overwrote for good. Out: those, and the totals that are computed from them; the rows that
can be compared; how many lost cells hold a value again. A guess neither earns nor costs accuracy: it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.task import Table, Task
from mario_dagster.tables.parsing import is_sentinel
from mario_dagster.tables.spec import Totals, pipeline_spec

# (key as text, column) of cells whose value is nowhere any more.
LostCells = frozenset[tuple[str, str]]


def with_totals(task: Task, lost: Mapping[str, LostCells]) -> Mapping[str, LostCells]:
    """The lost cells, and in derived tables the totals of rows whose count is lost: nobody knows those either."""
    found = dict(lost)
    for name, adds_up in pipeline_spec(task).sums.items():
        if isinstance(adds_up, Totals):
            gone = keys_of(lost.get(task.table(name).upstream[0], ()), adds_up.product.count)
            found[name] = found.get(name, frozenset()) | {(key, adds_up.product.total) for key in gone}
    return found


def keys_of(lost: Iterable[tuple[str, str]], column: str) -> list[str]:
    """Keys, as text, of the rows whose cell in a column is lost."""
    return sorted(key for key, name in lost if name == column)


def among(keys: pa.ChunkedArray | pa.Array, gone: Iterable[str]) -> pa.ChunkedArray | pa.Array:
    """Which keys are among those, as text."""
    return pc.is_in(pc.cast(keys, pa.string()), value_set=pa.array(sorted(gone), pa.string())).fill_null(False)


def guessed(table: Table, held: pa.Table, lost: LostCells) -> int:
    """Lost cells that hold a value again: no word for "no value", and nothing that is left as it landed."""
    if not lost or table.key not in held.column_names:
        return 0
    found = 0
    for column in table.columns:
        gone = keys_of(lost, column.name)
        if gone and column.name in held.column_names:
            values = held.column(column.name)
            said = values.is_valid()
            if pa.types.is_string(values.type):
                said = pc.and_(said, pc.invert(is_sentinel(values.combine_chunks()).fill_null(True)))
            found += int(pc.sum(pc.and_(said, among(held.column(table.key), gone))).as_py() or 0)
    return found
