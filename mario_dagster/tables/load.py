"""What a table becomes next: loaded from what has landed, or repaired, or computed from the tables upstream.

In: a workspace and one table's contract. Out: `Write`s, each a frame with its note. Nothing here knows a run or an
event: the assets of `assets/graph.py` call these and hand the result to the IO manager.
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

from .content_cache import CONTENT_CACHE, frame_bytes
from .frames import as_type, column_type, content_hash
from .repairs import apply, reapply, repair_of
from .spec import Transform
from .store import NoTable, Provenance, Stored
from .workspace import Workspace

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Write:
    """A frame to be stored, and how it came to be.

    Args:
        rows_before: rows of the table that it takes the place of; None where there is none.
    """

    frame: pd.DataFrame
    provenance: Provenance
    rows_before: int | None = None


def landed_name(task: Task, table: Table, batch: str) -> str:
    return f"{task.slug}/landed_{table.feed}/{batch}"


def table_name(task: Task, table: str) -> str:
    return f"{task.slug}/{table}"


def landed(workspace: Workspace, table: Table, batch: str, run_id: str) -> Write:
    """A landed file as it is: the bronze copy of one batch, or of a feed's one snapshot."""
    assert table.feed is not None
    frame = workspace.landing.read(table.feed, batch)
    return Write(frame, Provenance(run_id=run_id, data_version=content_hash(frame)))


def loaded(workspace: Workspace, task: Task, table: Table, run_id: str) -> Write:
    """The table with every landed batch in it.

    Batches not seen yet are appended, after the remembered row-wise repairs; when a batch that is in the table landed
    anew with other content, the table is built again from all of them.
    """
    held = _held(workspace, task, table)
    versions = {
        batch: workspace.lake.provenance(landed_name(task, table, batch)).data_version
        for batch in workspace.lake.children(f"{task.slug}/landed_{table.feed}")
    }
    if gone := sorted(held.provenance.loaded.keys() - versions.keys()):
        raise Damaged(f"lake/{landed_name(task, table, gone[0])} is missing")
    restated = [batch for batch, version in held.provenance.loaded.items() if versions.get(batch) != version]
    fresh = sorted(versions if restated else versions.keys() - held.provenance.loaded.keys())
    if not fresh:
        return Write(held.frame, replace(held.provenance, run_id=run_id), len(held.frame))
    plan = [repair_of(entry) for entry in held.provenance.plan]
    parts = [reapply(plan, workspace.lake.read(landed_name(task, table, batch)).frame, table) for batch in fresh]
    if not restated and len(held.frame.columns):
        parts.insert(0, held.frame)
    frame = stack(parts)
    return _write(frame, held, run_id, loaded=versions)


def repaired(workspace: Workspace, task: Task, table: Table, repair: Action, run_id: str) -> Write:
    """The stored table after one repair; a row-wise one is remembered for rows that come later.

    Raises:
        InvalidRepair: the repair does not fit the table as it stands.
    """
    held = workspace.lake.read(table_name(task, table.name))
    frame = tried(workspace, task, table, repair)
    entry = repair.to_config()
    plan = (*held.provenance.plan, entry) if repair.row_wise else held.provenance.plan
    return _write(frame, held, run_id, plan=plan, repairs=(*held.provenance.repairs, entry))


def tried(workspace: Workspace, task: Task, table: Table, repair: Action) -> pd.DataFrame:
    """What a repair would make of the stored table; made once for each content, so whoever has tried it does it free.

    Raises:
        InvalidRepair: the repair does not fit the table as it stands.
    """
    held = workspace.lake.read(table_name(task, table.name))
    if not held.provenance.data_version:
        return apply(repair, held.frame, table)
    key = ("repaired", table, repair, held.provenance.data_version)
    return CONTENT_CACHE.get(key, lambda: apply(repair, held.frame, table), frame_bytes)


def derived(
    workspace: Workspace,
    task: Task,
    table: Table,
    transform: Transform,
    inputs: Mapping[str, pd.DataFrame],
    run_id: str,
) -> Write:
    """The derived table as its transform computes it now, under the live deploy and the remembered repairs.

    Raises:
        TransformError: an input lacks a column or has it in the wrong type.
    """
    held = _held(workspace, task, table)
    frame = deployed(transform(**inputs), workspace.deploy(table.name))
    frame = reapply([repair_of(entry) for entry in held.provenance.plan], frame, table)
    provenances = {name: workspace.lake.provenance(table_name(task, name)) for name in table.upstream}
    batches = {batch: version for provenance in provenances.values() for batch, version in provenance.loaded.items()}
    built_from = {name: provenance.data_version for name, provenance in provenances.items()}
    code_version = workspace.code_version(table.name)
    return _write(frame, held, run_id, loaded=batches, built_from=built_from, code_version=code_version)


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


def stale_tables(workspace: Workspace, task: Task) -> frozenset[str]:
    """Derived tables that another release computed than is live, or whose inputs changed since, by the lake's record.

    A table counts too when a table upstream of it is stale, or has not taken up all that landed.
    """
    stale: set[str] = set()
    for table in task.tables:
        try:
            provenance = workspace.lake.provenance(table_name(task, table.name))
        except NoTable:
            stale.add(table.name)
            continue
        if table.derived:
            behind = any(
                stored_version(workspace, task, name) != provenance.built_from.get(name) for name in table.upstream
            )
            # Tables of earlier versions of this package do not say which release computed them.
            behind |= provenance.code_version not in ("", workspace.code_version(table.name))
            if behind or stale.intersection(table.upstream):
                stale.add(table.name)
        elif any(
            provenance.loaded.get(batch) != workspace.lake.provenance(landed_name(task, table, batch)).data_version
            for batch in workspace.lake.children(f"{task.slug}/landed_{table.feed}")
        ):
            stale.add(table.name)
    return frozenset(name for name in stale if task.table(name).derived)


def stored_version(workspace: Workspace, task: Task, table: str) -> str | None:
    """The data version of a stored table; None when it was never written."""
    try:
        return workspace.lake.provenance(table_name(task, table)).data_version
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


def _held(workspace: Workspace, task: Task, table: Table) -> Stored:
    try:
        return workspace.lake.read(table_name(task, table.name))
    except NoTable:
        return Stored(pd.DataFrame(), Provenance(), -1)


def _write(frame: pd.DataFrame, before: Stored, run_id: str, **changes: object) -> Write:
    provenance = replace(before.provenance, run_id=run_id, data_version=content_hash(frame), **changes)  # type: ignore[arg-type]
    return Write(frame, provenance, None if before.version < 0 else len(before.frame))


def _spell(value: object, pattern: str) -> str:
    if isinstance(value, date):  # a datetime is one too
        return value.strftime(pattern)
    number = float(value)  # type: ignore[arg-type]
    return pattern.format(value=value, cents=round(number * 100))
