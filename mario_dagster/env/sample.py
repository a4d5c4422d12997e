"""What `sample_data` shows of a table: its first rows, or rows and values of choice.

In: the sandbox, the action, the active table. Out: JSON, bounded in rows and characters, in the same order for the same
table. Stored rows are shown as they are; nothing is computed from anything but them and the checks.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mario_dagster.core.action import SELECT_COLUMN, SELECT_ROWS, SELECT_VALUE, SELECTS, Action

from .arguments import unknown

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

    from mario_dagster.sandbox.sandbox import Sandbox

HEAD_ROWS, SAMPLE_ROWS, SAMPLE_VALUES = 5, 20, 50
SAMPLE_TEXT, SAMPLE_CHARACTERS = 120, 4000


class BadSample(ValueError):
    """A sample that cannot be taken; says what would be right."""


def sample(sandbox: Sandbox, move: Action, active_table: str) -> str:
    """The sample that an action asks for, of the active table.

    Raises:
        BadSample: there is no such way to choose, or no such column, or an argument is missing or one too many.
    """
    frame = sandbox.table(active_table)
    select = move.select
    if select is None:
        if move.value is not None:
            raise BadSample("value goes with select equal, and a target_column")
        return sample_text(frame)
    if select not in SELECTS:
        raise BadSample(unknown("select of sample_data", select, SELECTS))
    _require_arguments(move, select, frame, active_table)
    if select == "head":
        return sample_text(frame)
    return _CHOSEN[select](sandbox, move, active_table)


def sample_text(frame: pd.DataFrame) -> str:
    """The first rows as a JSON list of objects, columns in table order, moments in ISO, nothing as null."""
    return _json(_rows(frame.head(HEAD_ROWS)))


def _require_arguments(move: Action, select: str, frame: pd.DataFrame, table: str) -> None:
    columns = tuple(map(str, frame.columns))
    if move.target_column is None:
        if select in SELECT_COLUMN:
            raise BadSample(f"select {select} needs target_column; the columns of {table} are {', '.join(columns)}")
    elif select in SELECT_ROWS:
        raise BadSample(f"select {select} takes no target_column: it shows whole rows")
    elif move.target_column not in columns:
        raise BadSample(unknown(f"column of {table}", move.target_column, columns))
    if (move.value is None) is (select in SELECT_VALUE):
        needs = "needs value: the cells to look for, as sample_data shows them"
        raise BadSample(f"select {select} {needs if select in SELECT_VALUE else 'takes no value'}")


# --- rows and values of choice ----------------------------------------------------------------------------------------


def _last_batch(sandbox: Sandbox, move: Action, table: str) -> str:
    import numpy as np
    import pyarrow.compute as pc

    from mario_dagster.checks.contract import cells
    from mario_dagster.checks.outcome import BATCH
    from mario_dagster.tables.load import table_name

    if not sandbox.task.table(table).batched:
        raise BadSample(f"{table} is not loaded in batches; select one of {', '.join(_without('last_batch'))}")
    frame = sandbox.table(table)
    if BATCH not in frame.columns:
        raise BadSample(f"{table} has no column {BATCH}: rename the column that it drifted to first")
    loaded = sandbox.workspace.lake.provenance(table_name(sandbox.task, table)).loaded
    newest = max(loaded, default="")
    chosen = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(cells(frame, BATCH), newest), False)))
    return _chosen({"select": "last_batch", BATCH: newest}, frame, chosen.tolist())


def _equal(sandbox: Sandbox, move: Action, table: str) -> str:
    import numpy as np
    import pyarrow.compute as pc

    from mario_dagster.checks.contract import cells

    frame, name, value = sandbox.table(table), str(move.target_column), str(move.value)
    values = cells(frame, name)
    alike = [each for each in pc.unique(values).to_pylist() if _reads(each, value)]
    chosen = np.flatnonzero(np.asarray(pc.is_in(values, value_set=_set(alike, values.type))))
    return _chosen({"select": "equal", "column": name, "value": value}, frame, chosen.tolist())


def _distinct(sandbox: Sandbox, move: Action, table: str) -> str:
    import pyarrow.compute as pc

    from mario_dagster.checks.contract import cells

    name = str(move.target_column)
    counted = pc.value_counts(cells(sandbox.table(table), name)).to_pylist()
    found = [{"value": plain(each["values"]), "count": each["counts"]} for each in counted]
    found.sort(key=lambda each: (-each["count"], each["value"] is None, str(each["value"])))
    told = {"select": "distinct", "column": name, "distinct": len(found)}
    return _bounded(told, "values", found[:SAMPLE_VALUES])


def _offenders(sandbox: Sandbox, move: Action, table: str) -> str:
    from mario_dagster.checks.context import gather
    from mario_dagster.checks.offenders import offenders

    task, stale = sandbox.task, frozenset(sandbox.signals().stale_tables)
    check_context = gather(sandbox.workspace, task, sandbox.backlog(), stale)
    found = offenders(check_context, task.table(table), move.target_column, SAMPLE_ROWS)
    why = {row: [f"{column}: {reason}" for column, reason in reasons] for row, reasons in found.reasons.items()}
    told = {"select": "offenders", **({"column": move.target_column} if move.target_column else {})}
    return _chosen(told, check_context.tables[table], found.rows, why)


_CHOSEN: Mapping[str, Callable[[Sandbox, Action, str], str]] = {
    "last_batch": _last_batch,
    "offenders": _offenders,
    "distinct": _distinct,
    "equal": _equal,
}


# --- helpers ----------------------------------------------------------------------------------------------------------


def _chosen(
    told: Mapping[str, Any], frame: pd.DataFrame, places: Iterable[int], why: Mapping[int, list[str]] | None = None
) -> str:
    """Rows by their places, as many as fit, and how many there are."""
    every = list(places)
    shown = every[:SAMPLE_ROWS]
    rows = [
        {"row": place, **({"why": why[place]} if why else {}), "values": values}
        for place, values in zip(shown, _rows(frame.iloc[shown]), strict=True)
    ]
    return _bounded({**told, "matching": len(every)}, "rows", rows)


def _bounded(told: Mapping[str, Any], name: str, entries: list[dict[str, Any]]) -> str:
    """The entries that fit, and whether that is all of them."""
    while len(text := _json({**told, name: entries})) > SAMPLE_CHARACTERS and entries:
        entries = entries[:-1]
    return text


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """A cell as JSON has it, long texts cut."""
    if isinstance(value, str):
        return value if len(value) <= SAMPLE_TEXT else f"{value[: SAMPLE_TEXT - 3]}..."
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    # NaT is a datetime whose every comparison is false.
    if isinstance(value, dt.date) and value == value:
        return value.isoformat()
    return None


def _reads(cell: Any, value: str) -> bool:
    """Whether a cell is what a player means by a text: as it is shown, or the same number."""
    if isinstance(cell, str) or cell is None:
        return bool(cell == value)
    if isinstance(cell, (int, float)):
        try:
            return float(value) == cell
        except ValueError:
            return False
    return str(plain(cell)) == value


def _set(values: list[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow

    return pyarrow.array(values, kind)


def _without(select: str) -> tuple[str, ...]:
    return tuple(each for each in SELECTS if each != select)
