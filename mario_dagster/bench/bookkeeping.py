"""Whether a damage manifest tells the whole truth: what landed against what was sent, and the difference against it.

In: a compiled incident and its task. Out: what does not agree, in words; nothing when the books are in order. The
difference is worked out here in plain Python, by key, and shares no code with the bookkeeper whose books it checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd

from mario_dagster.core.task import Table, Task
from mario_dagster.incidents.compile import Incident
from mario_dagster.tables.frames import column_type

Cell = tuple[str | None, str, str | None, str | None]


def disagreements(incident: Incident, task: Task) -> Iterator[str]:
    """Where the damage manifest and the difference of landed and clean data do not agree, table by table."""
    for table in task.tables:
        if table.feed is not None:
            yield from _columns(incident, table)
            yield from _rows_and_cells(incident, table)


def as_text(value: Any, kind: str) -> str | None:
    """A value in canonical form; texts as they are, whatever is missing as None."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if kind == "timestamp":
        return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if kind == "date":
        return str(value.isoformat())[:10]
    if kind == "string":
        return str(value)
    return f"{value:.2f}" if kind == "float64" else str(int(value))


def clean_rows(incident: Incident, table: Table) -> pd.DataFrame:
    """What the producer really sent for a table, all batches in one."""
    frames = [batch.frame for batch in incident.clean.batches] if table.batched else []
    return pd.concat(frames or [incident.clean.feeds[str(table.feed)]], ignore_index=True)


def landed_rows(incident: Incident, table: Table) -> tuple[pd.DataFrame, list[str]]:
    """All rows that land for a table, under contract names where the damage manifest knows them, with their batches."""
    parts = {key: frame for key, frame in incident.landing.items() if key.startswith(f"{table.feed}/")}
    noted = incident.damage_manifest.columns
    noted = noted[(noted["table"] == table.name) & noted["column"].notna()]
    names = dict(zip(noted["landed_as"], noted["column"], strict=True))
    batches = [key.split("/", 1)[1] for key, part in parts.items() for _ in range(len(part))]
    return pd.concat(parts.values(), ignore_index=True).rename(columns=names), batches


def _columns(incident: Incident, table: Table) -> Iterator[str]:
    """Columns that land under another name, type or place, against those that the damage manifest names."""
    noted = incident.damage_manifest.columns
    noted = noted[noted["table"] == table.name]
    extra = set(noted[noted["column"].isna()]["landed_as"])
    renamed = dict(zip(noted["landed_as"], noted["column"], strict=True))
    for key, frame in incident.landing.items():
        if not key.startswith(f"{table.feed}/"):
            continue
        for place, name, kind in zip(noted["position"], noted["landed_as"], noted["landed_type"], strict=True):
            if list(frame.columns)[place : place + 1] != [name] or column_type(frame[name]) != kind:
                yield f"{key}: {name} does not land where and as the damage manifest says"
                return
        known = [str(name) for name in frame.columns if name not in extra]
        lands = [renamed.get(name) or name for name in known]
        if sorted(lands) != sorted(table.column_names):
            yield f"{key}: columns {lands} are not {list(table.column_names)}"
            return
        for place, (name, column) in enumerate(zip(known, lands, strict=True)):
            odd = name != column or column_type(frame[name]) != table.column(column).type
            if name not in renamed and (odd or table.column_names[place] != column):
                yield f"{key}: {name} does not land as its contract says, and the damage manifest is silent"


def _rows_and_cells(incident: Incident, table: Table) -> Iterator[str]:
    """Rows that nobody meant to send, and values of others that differ, against those that the manifest names."""
    clean = clean_rows(incident, table)
    frame, batches = landed_rows(incident, table)
    if set(table.column_names) - set(frame.columns):
        return  # said already, of the columns
    kind = table.column(table.key).type
    sent = {as_text(key, kind): row for row, key in enumerate(clean[table.key].tolist())}
    added: Counter[tuple[str, str | None]] = Counter()
    genuine: dict[str | None, int] = {}
    for row, key in enumerate(_number(as_text(value, kind), kind) for value in frame[table.key].tolist()):
        if key in sent and key not in genuine:
            genuine[key] = row
        else:
            added[batches[row], key] += 1
    if genuine.keys() != sent.keys():
        yield f"{table.name}: {len(sent.keys() - genuine.keys())} rows that were sent did not land under their key"
    noted = incident.damage_manifest.rows_added
    noted = noted[noted["table"] == table.name]
    books = Counter(zip(noted["batch"], (_number(key, kind) for key in noted["key"]), strict=True))
    if added != books:
        yield f"{table.name}: rows added {_sample((added - books) + (books - added))} differ from the manifest's"
    cells = _cells(table, clean, frame, {key: (sent[key], row) for key, row in genuine.items()})
    held = incident.damage_manifest.cells
    held = held[held["table"] == table.name]
    written = Counter(held[["key", "column", "clean", "damaged"]].itertuples(index=False, name=None))
    if cells != written:
        yield f"{table.name}: cells {_sample((cells - written) + (written - cells))} differ from the manifest's"


def _number(key: str | None, kind: str) -> str | None:
    """A key as it is, but for the thousands separators of one that is a number."""
    return key.replace(",", "") if key is not None and kind == "int64" else key


def _cells(
    table: Table, clean: pd.DataFrame, frame: pd.DataFrame, rows: dict[str | None, tuple[int, int]]
) -> Counter[Cell]:
    """Cells of the rows that were sent whose landed text is not the clean one."""
    found: Counter[Cell] = Counter()
    for column in table.columns:
        right, damaged = clean[column.name].tolist(), frame[column.name].tolist()
        for key, (sent, landed) in rows.items():
            was, now = as_text(right[sent], column.type), as_text(damaged[landed], column.type)
            if was != now:
                found[key, column.name, was, now] += 1
    return found


def _sample(found: Counter[Any]) -> str:
    return f"{sum(found.values())}, such as {next(iter(found))}" if found else "0"
