"""The eleven table operations (actions 3 to 13): pure functions from a frame to a frame.

In: an `Action` that is a repair, a frame with Arrow types and the contract of its table. Out: a new frame; the input is
never touched. A repair that cannot apply raises `InvalidRepair` and nothing has happened. Dagster assets, the proofs of
solutions and the tests all call these, so that a repair means the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.action import ACTIONS, ARGUMENTS, REPAIRS, Action
from mario_dagster.core.errors import did_you_mean
from mario_dagster.core.task import Column, Table

from .frames import as_type, column_type
from .parsing import (
    Moments,
    is_sentinel,
    parse_numbers,
    read_text,
    read_timestamps,
    to_array,
    to_series,
    to_text,
)

__all__ = [
    "OUTLIER_K",
    "REPAIR_NAMES",
    "InvalidRepair",
    "apply",
    "outlier_mask",
    "parse_numbers",
    "reapply",
    "repair_of",
]

REPAIR_NAMES = tuple(spec.name for spec in ACTIONS if spec.id in REPAIRS)
OUTLIER_K = 8.0
_MAD_TO_SIGMA = 1.4826  # MAD of a normal distribution to its standard deviation
_LOG_SPREAD = float(np.log(1.5))  # a skewed column spreads at least this far about its median: a tighter sample is luck
_EXACT_INTEGERS = 2.0**53  # beyond it a float64 skips integers
_NOTHING = "every value of '{}' is missing, so there is nothing to fill from"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class InvalidRepair(ValueError):
    """A repair that cannot apply to this frame; says what is wrong and which choices there are. Nothing has changed."""


def repair_of(config: Mapping[str, Any]) -> Action:
    """The repair that an op config or a remembered plan asks for, as `Action.to_config` wrote it.

    Raises:
        InvalidRepair: it is none, or has a field that none has.
    """
    names = ("action", *ARGUMENTS)
    if unknown := sorted(set(map(str, config)) - set(names)):
        raise InvalidRepair(f"a repair has no field '{unknown[0]}'; it has {', '.join(names)}")
    if config.get("action") not in REPAIR_NAMES:
        raise InvalidRepair(_unknown("repair", config.get("action"), REPAIR_NAMES))
    order = config.get("column_order")
    wrong = [name for name in ("target_column", "new_name") if not isinstance(config.get(name), str | None)]
    if not (order is None or (isinstance(order, list | tuple) and all(isinstance(name, str) for name in order))):
        wrong.append("column_order")
    if wrong:
        raise InvalidRepair(f"a repair's {wrong[0]} is {'a list of names' if 'order' in wrong[0] else 'a name'}")
    return Action.from_config(config)


def apply(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """A new frame with the repair done; rows keep their order, and rows that are dropped leave no hole in the index.

    Raises:
        InvalidRepair: it cannot apply to this frame.
    """
    operation = _OPERATIONS.get(repair.name)
    if operation is None:
        raise InvalidRepair(_unknown("repair", repair.name, REPAIR_NAMES))
    return operation(repair, frame, table)


def reapply(plan: Iterable[Action], frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The row-wise repairs of a plan, in order, on a newly loaded batch.

    A repair that does not apply to the batch is skipped (a column that is not there has its new name already); what
    that leaves wrong is for the checks to say. Set-wise repairs are left out: they act on a table as it stood.
    """
    for repair in plan:
        if repair.row_wise:
            try:
                frame = apply(repair, frame, table)
            except InvalidRepair:
                continue
    return frame


# --- outliers ---------------------------------------------------------------------------------------------------------


def outlier_mask(series: pd.Series, column: Column | None) -> np.ndarray:
    """True for each row whose value is absurdly far from the rest; nulls are not, nor is anything in a column of text.

    A value is an outlier outside the contract's range, or further than `OUTLIER_K` robust standard deviations
    (1.4826 MAD) from the median, on a log scale where the contract calls the column skewed. The robust bound is for
    magnitudes: it is left out where the contract names no maximum (identifiers, sums) or a reference. Without a
    contract a value has to be far on both scales.
    """
    if column_type(series) not in ("int64", "float64"):
        return np.zeros(len(series), dtype=bool)
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(values)
    mask = np.zeros(len(values), dtype=bool)
    if column is not None:
        mask |= known & (values < (column.minimum if column.minimum is not None else -np.inf))
        mask |= known & (values > (column.maximum if column.maximum is not None else np.inf))
        if column.maximum is None or column.references is not None:
            return mask
    rows = np.flatnonzero(known & ~mask)
    mask[rows] = _far(values[rows], column, whole=column_type(series) == "int64")
    return mask


def _far(values: np.ndarray, column: Column | None, whole: bool) -> np.ndarray:
    """Which values are beyond the robust bound; `whole` numbers spread by at least one."""
    positive = bool(len(values)) and bool((values > 0).all())
    if column is not None and column.skewed and positive:
        return _beyond(np.log(values), _LOG_SPREAD)
    far = _beyond(values, 1.0 if whole else 0.0)
    return far & _beyond(np.log(values), _LOG_SPREAD) if column is None and positive else far


def _beyond(values: np.ndarray, floor: float) -> np.ndarray:
    if not len(values):
        return np.zeros(0, dtype=bool)
    distance = np.abs(values - np.median(values))
    spread = float(np.median(distance))
    if spread == 0.0:  # more than half the values are the same: nothing says how far is far
        return np.zeros(len(values), dtype=bool)
    return np.asarray(distance > OUTLIER_K * _MAD_TO_SIGMA * max(spread, floor))


# --- operations: (repair, frame, table) -> frame ----------------------------------------------------------------------


def _fill_number(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series = _numeric(repair, frame)
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[np.isfinite(values)]
    if not len(known) and len(values):
        raise InvalidRepair(f"{repair.name}: {_NOTHING.format(series.name)}")
    if len(known) == len(values):
        return frame.copy()
    centre = float(np.mean(known) if repair.name == "fill_mean" else np.median(known))
    fill = int(np.rint(centre)) if column_type(series) == "int64" else round(centre, 2)
    return _with(frame, series.name, to_series(pc.fill_null(to_array(series), fill), series))


def _fill_forward(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series = _column(repair, frame)
    array = to_array(series)
    if len(array) and array.null_count == len(array):
        raise InvalidRepair(f"{repair.name}: {_NOTHING.format(series.name)}")
    return _with(frame, series.name, to_series(pc.fill_null_backward(pc.fill_null_forward(array)), series))


def _drop_nulls(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series = _column(repair, frame)
    return _keep(frame, series.notna().to_numpy(dtype=bool), repair, f"every value of '{series.name}' is missing")


def _drop_outliers(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series = _numeric(repair, frame)
    mask = outlier_mask(series, _contract(table, series.name))
    return _keep(frame, ~mask, repair, f"every value of '{series.name}' is outside the contract's range")


def _cast_to_int(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series, values = _read(repair, frame)
    if column_type(series) == "int64":
        return frame.copy()
    if pc.any(pc.greater(pc.abs(values), _EXACT_INTEGERS)).as_py():
        raise InvalidRepair(f"{repair.name}: '{series.name}' holds numbers too large for an exact integer")
    fractions = values.filter(pc.not_equal(values, pc.round(values)))
    if len(fractions):
        raise InvalidRepair(
            f"{repair.name}: '{series.name}' holds {fractions[0]}: an integer would lose it, use cast_to_float"
        )
    return _with(frame, series.name, to_series(values.cast(pa.int64()), series))


def _cast_to_float(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series, values = _read(repair, frame)
    return _with(frame, series.name, to_series(values, series))


def _cast_to_string(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series = _column(repair, frame)
    column = _contract(table, series.name)
    kind = column_type(series)
    if kind in ("date", "timestamp") and (column is None or column.is_time):
        return _with(frame, series.name, as_type(series, column.type) if column is not None else series)
    text = to_text(to_array(series))
    if column is not None and column.is_time:
        return _with(frame, series.name, to_series(_moments(text, read_timestamps(text), column.type), series))
    if column is None and kind == "string":
        blank, timestamps = is_sentinel(text), read_timestamps(text)
        if _all_moments(text, blank, timestamps):
            read_as = "timestamp" if timestamps.timed[timestamps.read].any() else "date"
            return _with(frame, series.name, to_series(_moments(text, timestamps, read_as), series))
    return _with(frame, series.name, to_series(read_text(text, column), series))


def _remove_duplicates(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    if table.key not in frame.columns:
        raise InvalidRepair(f"{repair.name}: {table.name} has no column '{table.key}', its key; it has {_names(frame)}")
    key = frame[table.key]
    return _keep(frame, (~key.duplicated() | key.isna()).to_numpy(dtype=bool), repair, "")


def _rename_column(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    series = _column(repair, frame)
    name = repair.new_name
    if not name:
        raise InvalidRepair(f"{repair.name} needs new_name; the contract has {', '.join(table.column_names)}")
    # What the contract calls a column is its name, however it is spelt.
    if name not in table.column_names and not _NAME.fullmatch(name):
        raise InvalidRepair(
            f"{repair.name}: '{name[:80]}' is no column name: use letters, digits and _, no digit first, 64 at most"
        )
    if name in frame.columns:
        raise InvalidRepair(f"{repair.name}: there is a column '{name}' already; columns: {_names(frame)}")
    return frame.rename(columns={series.name: name})


def _reorder_columns(repair: Action, frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    have = [str(name) for name in frame.columns]
    if repair.column_order is None:
        raise InvalidRepair(f"{repair.name} needs column_order, a permutation of: {', '.join(have)}")
    order = list(repair.column_order)
    faults = {
        "unknown": [name for name in dict.fromkeys(order) if name not in have],
        "missing": [name for name in have if name not in order],
        "repeated": [name for name in dict.fromkeys(order) if order.count(name) > 1],
    }
    found = "; ".join(
        f"{what} {', '.join(str(name)[:80] for name in names[:10])}" for what, names in faults.items() if names
    )
    if found:
        raise InvalidRepair(f"{repair.name}: column_order must be a permutation of {', '.join(have)}; {found}")
    return frame[order].copy()


_OPERATIONS: Mapping[str, Callable[[Action, pd.DataFrame, Table], pd.DataFrame]] = {
    "fill_mean": _fill_number,
    "fill_median": _fill_number,
    "fill_forward": _fill_forward,
    "drop_nulls": _drop_nulls,
    "cast_to_int": _cast_to_int,
    "cast_to_float": _cast_to_float,
    "cast_to_string": _cast_to_string,
    "remove_duplicates": _remove_duplicates,
    "drop_outliers": _drop_outliers,
    "rename_column": _rename_column,
    "reorder_columns": _reorder_columns,
}


# --- helpers ----------------------------------------------------------------------------------------------------------


def _column(repair: Action, frame: pd.DataFrame) -> pd.Series:
    name = repair.target_column
    if not name:
        raise InvalidRepair(f"{repair.name} needs target_column; choose one of: {_names(frame)}")
    if name not in frame.columns:
        raise InvalidRepair(f"{repair.name}: {_unknown('column', name, map(str, frame.columns))}")
    return frame[name]


def _numeric(repair: Action, frame: pd.DataFrame) -> pd.Series:
    series = _column(repair, frame)
    if column_type(series) in ("int64", "float64"):
        return series
    numbers = [str(name) for name in frame.columns if column_type(frame[name]) in ("int64", "float64")]
    raise InvalidRepair(
        f"{repair.name}: '{series.name}' is {column_type(series)}, not a number: cast it first; "
        f"numeric columns: {', '.join(numbers) or 'none'}"
    )


def _read(repair: Action, frame: pd.DataFrame) -> tuple[pd.Series, pa.Array]:
    """The column and its numbers; a cast that would wipe the column is refused."""
    series = _column(repair, frame)
    if column_type(series) in ("date", "timestamp"):
        raise InvalidRepair(f"{repair.name}: '{series.name}' is a {column_type(series)}, not a number")
    values = to_array(parse_numbers(series))
    if len(values) and values.null_count == len(values):
        said = pc.drop_null(to_text(to_array(series)))
        said = said.filter(pc.invert(is_sentinel(said)))
        if len(said):
            raise InvalidRepair(
                f"{repair.name}: no value of '{series.name}' reads as a number (it holds '{said[0].as_py()[:40]}')"
            )
    return series, values


def _moments(text: pa.Array, timestamps: Moments, kind: str) -> pa.Array:
    """The text as dates or timestamps; as text in canonical spelling when some of it cannot be read."""
    values = timestamps.dates() if kind == "date" else timestamps.timestamps()
    unread = pc.and_(text.is_valid(), pc.invert(pa.array(timestamps.read)))
    unread = pc.and_(unread, pc.invert(pc.fill_null(is_sentinel(text), True)))
    if not pc.any(unread).as_py():
        return values
    return pc.if_else(unread, text, to_text(values))


def _all_moments(text: pa.Array, blank: pa.Array, timestamps: Moments) -> bool:
    """Every value is a moment or blank, and one at least is marked as a moment: bare digits may be any number."""
    said = pc.fill_null(pc.invert(blank), False).to_numpy(zero_copy_only=False)
    if not said.any() or not timestamps.read[said].all():
        return False
    return bool(pc.any(pc.match_substring_regex(text.filter(pa.array(said)), r"\D")).as_py())


def _contract(table: Table, name: Any) -> Column | None:
    return next((column for column in table.columns if column.name == name), None)


def _with(frame: pd.DataFrame, name: Any, series: pd.Series) -> pd.DataFrame:
    return frame.assign(**{str(name): series})


def _keep(frame: pd.DataFrame, kept: np.ndarray, repair: Action, why: str) -> pd.DataFrame:
    if len(kept) and not kept.any():
        raise InvalidRepair(f"{repair.name}: {why}: no row would be left")
    return frame.copy() if kept.all() else frame[kept].reset_index(drop=True)


def _names(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns))


def _unknown(noun: str, name: object, choices: Iterable[str]) -> str:
    choices, shown = tuple(choices), str(name)[:80]
    hint = did_you_mean(shown, choices)
    return f"no {noun} '{shown}'; {hint}{' ' if hint else ''}choose one of: {', '.join(choices) or 'none'}"
