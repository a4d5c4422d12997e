"""Where stored rows are not the ones that are computed now, key by key.

In: a stored frame, the right one, the table's contract. Out: violations by column, with the rows at fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from mario_dagster.core.task import Table

from .contract import cells
from .violation import SHOWN_CASES, Case, Mask, Values, Violation, case

Rows: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
# Half a cent: sums of cents differ by float noise, never by this much.
CENT = 0.005
# Why a stored row has no computed one.
_REPEATED, _UNFOUNDED = 1, 2
_NONE: Rows = np.zeros(0, dtype=np.int64)


def differences(stored: pd.DataFrame, right: pd.DataFrame, table: Table) -> Iterable[Violation]:
    """Where stored rows are not the right ones: of a key that is stored twice the first row counts, of one that is
    computed twice the last."""
    key = cells(stored, table.key)
    rows, places, lone, missing = _matched(key, cells(right, table.key))
    violations = [
        Violation.rows(table.key, "repeated_row", lone == _REPEATED, key),
        Violation.rows(table.key, "unfounded_row", lone == _UNFOUNDED, key),
        Violation(table.key, "missing_row", len(missing), _without_row(table.key, "missing_row", missing)),
        *(_wrong_values(name, cells(stored, name), cells(right, name), rows, places) for name in table.column_names),
    ]
    return sorted((each for each in violations if each.count), key=lambda each: (each.column, each.reason))


def _matched(stored: Values, right: Values) -> tuple[Rows, Rows, Rows, Values]:
    """Stored and computed rows of the same key, side by side, and what is left over on either side.

    Returns:
        Stored rows, in order; the computed row of each; for every stored row 0, or why it has none (`_REPEATED`,
        `_UNFOUNDED`); the keys that are computed and not stored, in order.
    """
    if not _comparable(stored, right):
        return _NONE, _NONE, np.full(len(stored), _UNFOUNDED), pc.unique(right)
    if not stored.type.equals(right.type):
        stored, right = stored.cast(pyarrow.float64(), safe=False), right.cast(pyarrow.float64(), safe=False)
    known = right.combine_chunks().dictionary_encode(null_encoding="encode")
    newest = np.zeros(len(known.dictionary), dtype=np.int64)
    newest[known.indices.to_numpy()] = np.arange(len(right))
    place = pc.index_in(stored, value_set=known.dictionary).fill_null(-1).to_numpy()
    founded = np.flatnonzero(place >= 0)
    first = np.full(len(newest), -1, dtype=np.int64)
    first[place[founded[::-1]]] = founded[::-1]
    rows = founded[first[place[founded]] == founded]
    lone = np.where(place >= 0, _REPEATED, _UNFOUNDED)
    lone[rows] = 0
    return rows, newest[place[rows]], lone, known.dictionary.filter(pyarrow.array(first < 0))


def _wrong_values(name: str, stored: Values, right: Values, rows: Rows, places: Rows) -> Violation:
    size, here, there = len(stored), _picked(stored, rows), _picked(right, places)
    wrong = np.flatnonzero(~_agree(here, there))
    shown = [
        case(name, "wrong_value", int(rows[at]), f"{_shown(here[at].as_py())}, not {_shown(there[at].as_py())}")
        for at in wrong[:SHOWN_CASES].tolist()
    ]
    mask = np.zeros(size, dtype=bool)
    mask[rows[wrong]] = True
    return Violation(name, "wrong_value", len(wrong), tuple(shown), marked=np.packbits(mask).tobytes())


def _agree(here: Values, there: Values) -> Mask:
    """Which values are the same; amounts that differ by less than half a cent are, and so are two that are missing."""
    both = pc.and_(pc.is_null(here), pc.is_null(there))
    if not _comparable(here, there):
        same = both
    elif pyarrow.types.is_floating(here.type) and pyarrow.types.is_floating(there.type):
        same = pc.or_(both, pc.less(pc.abs(pc.subtract(here, there)), CENT).fill_null(False))
    else:
        same = pc.or_(both, pc.equal(here, there).fill_null(False))
    return np.asarray(same.to_numpy(), dtype=bool)


def _comparable(one: Values, other: Values) -> bool:
    """Whether values of two columns can be equal at all."""
    kinds = (one.type, other.type)
    number = [pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) for kind in kinds]
    return kinds[0].equals(kinds[1]) or all(number)


def _picked(values: Values, rows: Rows) -> Values:
    whole = len(rows) == len(values) and bool((rows == np.arange(len(rows))).all())
    return values if whole else values.take(pyarrow.array(rows))


def _without_row(column: str, reason: str, values: Values | pyarrow.Array) -> tuple[Case, ...]:
    return tuple(case(column, reason, None, value) for value in values.slice(0, SHOWN_CASES).to_pylist())


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
