"""What a table becomes next: loaded from what has landed, or repaired, or computed from the tables upstream.

In: a world and one table's contract. Out: `Write`s, each a frame with its note. Nothing here knows a run or an event:
the assets in `pipeline.py` call these and hand the result to the IO manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

from mario_dagster.core.action import Action
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.errors import Damaged
from mario_dagster.core.task import Table, Task

from .content_cache import MEMO, frame_bytes
from .frames import as_type, column_type, content_hash
from .repairs import apply, reapply, repair_of
from .spec import Transform
from .store import NoTable, Note, Stored
from .workspace import World

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Write:
    """A frame to be stored, and how it came to be."""

    frame: pd.DataFrame
    note: Note


def landed_name(task: Task, table: Table, batch: str) -> str:
    return f"{task.slug}/landed_{table.feed}/{batch}"


def table_name(task: Task, table: str) -> str:
    return f"{task.slug}/{table}"


def landed(world: World, table: Table, batch: str, run_id: str) -> Write:
    """A landed file as it is: the bronze copy of one batch, or of a feed's one snapshot."""
    assert table.feed is not None
    frame = world.landing.read(table.feed, batch)
    return Write(frame, Note(run_id=run_id, data_version=content_hash(frame)))


def loaded(world: World, task: Task, table: Table, run_id: str) -> Write:
    """The table with every landed batch in it.

    Batches not seen yet are appended, after the remembered row-wise repairs; when a batch that is in the table landed
    anew with other content, the table is built again from all of them.
    """
    held = _held(world, task, table)
    versions = {
        batch: world.lake.note(landed_name(task, table, batch)).data_version
        for batch in world.lake.children(f"{task.slug}/landed_{table.feed}")
    }
    if gone := sorted(held.note.loaded.keys() - versions.keys()):
        raise Damaged(f"lake/{landed_name(task, table, gone[0])} is missing")
    restated = [batch for batch, version in held.note.loaded.items() if versions.get(batch) != version]
    fresh = sorted(versions if restated else versions.keys() - held.note.loaded.keys())
    if not fresh:
        return Write(held.frame, replace(held.note, run_id=run_id))
    plan = [repair_of(entry) for entry in held.note.plan]
    parts = [reapply(plan, world.lake.read(landed_name(task, table, batch)).frame, table) for batch in fresh]
    if not restated and len(held.frame.columns):
        parts.insert(0, held.frame)
    frame = stack(parts)
    return _write(frame, held.note, run_id, loaded=versions)


def repaired(world: World, task: Task, table: Table, repair: Action, run_id: str) -> Write:
    """The stored table after one repair; a row-wise one is remembered for rows that come later.

    Raises:
        InvalidRepair: the repair does not fit the table as it stands.
    """
    held = world.lake.read(table_name(task, table.name))
    frame = tried(world, task, table, repair)
    entry = repair.to_config()
    plan = (*held.note.plan, entry) if repair.row_wise else held.note.plan
    return _write(frame, held.note, run_id, plan=plan, repairs=(*held.note.repairs, entry))


def tried(world: World, task: Task, table: Table, repair: Action) -> pd.DataFrame:
    """What a repair would make of the stored table; made once for each content, so whoever has tried it does it free.

    Raises:
        InvalidRepair: the repair does not fit the table as it stands.
    """
    held = world.lake.read(table_name(task, table.name))
    if not held.note.data_version:
        return apply(repair, held.frame, table)
    key = ("repaired", table, repair, held.note.data_version)
    return MEMO.get(key, lambda: apply(repair, held.frame, table), frame_bytes)


def derived(
    world: World, task: Task, table: Table, transform: Transform, inputs: Mapping[str, pd.DataFrame], run_id: str
) -> Write:
    """The derived table as its transform computes it now, under the live deploy and the remembered repairs.

    Raises:
        TransformError: an input lacks a column or has it in the wrong type.
    """
    held = _held(world, task, table)
    frame = deployed(transform(**inputs), world.deploy(table.name))
    frame = reapply([repair_of(entry) for entry in held.note.plan], frame, table)
    notes = {name: world.lake.note(table_name(task, name)) for name in table.upstream}
    batches = {batch: version for note in notes.values() for batch, version in note.loaded.items()}
    built_from = {name: note.data_version for name, note in notes.items()}
    return _write(frame, held.note, run_id, loaded=batches, built_from=built_from)


def deployed(frame: pd.DataFrame, deploy: Deploy) -> pd.DataFrame:
    """What a transform release makes of a right result: mis-scaled, misspelt and misnamed columns."""
    frame = frame.copy()
    for column, factor in deploy.scale.items():
        frame[column] = as_type((frame[column] * factor).round(2), "float64")
    for column, pattern in deploy.texts.items():
        frame[column] = as_type(
            frame[column].map(lambda value, p=pattern: _spell(value, p), na_action="ignore"), "string"
        )
    return frame.rename(columns=dict(deploy.rename))


def stale_tables(world: World, task: Task) -> frozenset[str]:
    """Derived tables whose inputs have changed since they were computed, by the lake's own record.

    A table counts too when a table upstream of it is stale, or has not taken up all that landed.
    """
    stale: set[str] = set()
    for table in task.tables:
        try:
            note = world.lake.note(table_name(task, table.name))
        except NoTable:
            stale.add(table.name)
            continue
        if table.derived:
            behind = any(world_version(world, task, name) != note.built_from.get(name) for name in table.upstream)
            if behind or stale.intersection(table.upstream):
                stale.add(table.name)
        elif any(
            note.loaded.get(batch) != world.lake.note(landed_name(task, table, batch)).data_version
            for batch in world.lake.children(f"{task.slug}/landed_{table.feed}")
        ):
            stale.add(table.name)
    return frozenset(name for name in stale if task.table(name).derived)


def world_version(world: World, task: Task, table: str) -> str | None:
    """The data version of a stored table; None when it was never written."""
    try:
        return world.lake.note(table_name(task, table)).data_version
    except NoTable:
        return None


def stack(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames one above the other; a column that is text in any of them is text in all."""
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    for name in names:
        kinds = {column_type(part[name]) for part in parts if name in part.columns and len(part)}
        if len(kinds) > 1:
            kind = "float64" if kinds == {"int64", "float64"} else "string"
            parts = [
                part.assign(**{name: _recast(part[name], kind)}) if name in part.columns else part for part in parts
            ]
    return pd.concat(parts, ignore_index=True)


def _recast(series: pd.Series, kind: str) -> pd.Series:
    if kind == "string" and column_type(series) == "timestamp":
        return as_type(series.dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "string")
    return as_type(series, kind)  # type: ignore[arg-type]


def _held(world: World, task: Task, table: Table) -> Stored:
    try:
        return world.lake.read(table_name(task, table.name))
    except NoTable:
        return Stored(pd.DataFrame(), Note(), -1)


def _write(frame: pd.DataFrame, before: Note, run_id: str, **changes: object) -> Write:
    note = replace(before, run_id=run_id, data_version=content_hash(frame), **changes)  # type: ignore[arg-type]
    return Write(frame, note)


def _spell(value: object, pattern: str) -> str:
    if isinstance(value, date):  # a datetime is one too
        return value.strftime(pattern)
    number = float(value)  # type: ignore[arg-type]
    return pattern.format(value=value, cents=round(number * 100))
