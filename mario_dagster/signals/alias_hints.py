"""Which drifted column is which contract column: by name and by values, with no list of names.

In: a table's columns as stored, and its contract. Out: drifted name -> contract name, for the pairs that are likely and
beyond doubt. A name is compared word by word (rapidfuzz); the values are compared with what the contract allows: type,
range, categories, pattern, uniqueness. Names alone would be fooled by a producer's taste, values alone by two alike
columns. Where another pairing is nearly as good there is no hint: a guess would be worth less than the silence. One
table is looked at: which of two references is which, and whether amounts add up, is for the player to find out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from rapidfuzz import fuzz, utils
from scipy.optimize import linear_sum_assignment

from mario_dagster.core.task import Column, Table
from mario_dagster.tables.frames import column_type
from mario_dagster.tables.parsing import parse_numbers, parse_timestamps, read_text, to_array, to_series

NAME_WEIGHT, VALUE_WEIGHT = 0.45, 0.55
THRESHOLD = 0.45
SAMPLE = 400
MOST_REPEATS = 0.3
# A pair is in doubt if the table can be paired without it at a loss of less than this.
MARGIN = 0.3


def alias_hints(frame: pd.DataFrame, table: Table) -> Mapping[str, str]:
    """Drifted column -> the contract column it probably is, in stored order, each name used once; none in doubt."""
    missing = [column for column in table.columns if column.name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in table.column_names]
    if not missing or not extra:
        return {}
    sample = frame.iloc[:SAMPLE]
    likeness = np.array(
        [
            [
                NAME_WEIGHT * name_likeness(name, column.name)
                + VALUE_WEIGHT * value_likeness(sample[name], column, table)
                for column in missing
            ]
            for name in extra
        ]
    )
    # The best pairing as a whole: one column's second choice may be another's only one.
    pairs, best = _paired(likeness)
    return {
        extra[row]: missing[column].name
        for row, column in pairs
        if likeness[row, column] >= THRESHOLD and best - _paired(_without(likeness, row, column))[1] >= MARGIN
    }


def _paired(likeness: np.ndarray) -> tuple[list[tuple[int, int]], float]:
    """The pairs of rows and columns that are likeliest together, and how likely they are."""
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True)), float(likeness[rows, columns].sum())


def _without(likeness: np.ndarray, row: int, column: int) -> np.ndarray:
    rest = likeness.copy()
    rest[row, column] = 0.0
    return rest


def name_likeness(name: str, expected: str) -> float:
    """0 to 1: how alike two column names are, word by word."""
    return (
        fuzz.token_set_ratio(name.replace("_", " "), expected.replace("_", " "), processor=utils.default_process) / 100
    )


def value_likeness(series: pd.Series, column: Column, table: Table) -> float:
    """0 to 1: how well values fit what the contract says of a column, spelling aside."""
    values = series.dropna()
    if values.empty:
        return 0.0
    if column.is_time:
        fit = (
            float(parse_timestamps(values).notna().mean())
            if column_type(values) in ("string", "timestamp", "date")
            else 0.0
        )
    elif column.is_number:
        fit = _number_fit(values, column)
    else:
        fit = _text_fit(values, column)
    # A key hardly repeats, whatever a retried load did to it; other columns may or may not.
    repeats = 1 - values.nunique() / len(values)
    return fit * (1.0 if column.name != table.key or repeats < MOST_REPEATS else 0.6)


def _number_fit(values: pd.Series, column: Column) -> float:
    if column_type(values) in ("timestamp", "date"):
        return 0.0
    numbers = parse_numbers(values)
    known = numbers.dropna()
    if known.empty:
        return 0.0
    good = np.ones(len(known), dtype=bool)
    if column.minimum is not None:
        good &= (known >= column.minimum).to_numpy(dtype=bool)
    if column.maximum is not None:
        good &= (known <= column.maximum).to_numpy(dtype=bool)
    whole = float((known == known.round()).mean())
    kind = whole if column.type == "int64" else 1.0 - 0.4 * whole
    return len(known) / len(values) * float(good.mean()) * kind


def _text_fit(values: pd.Series, column: Column) -> float:
    if column_type(values) != "string":
        return 0.0
    # As it would read once normalised: what is garbled is no less a name.
    text = to_series(read_text(to_array(values), column), values)
    if column.categories:
        return float(text.isin(column.categories).mean())
    if column.pattern:
        return 0.7 * float(text.str.fullmatch(column.pattern).mean())
    return 0.5
