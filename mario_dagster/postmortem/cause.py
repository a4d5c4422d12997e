"""What struck, by the manifest of damage: which fault, which table and column, how much of it.

In: a sandbox with its truth store. Out: `Struck` and `Fault`. What the manifest has cell by cell and row by row is
counted; what waits and what was deployed is read from the truth store and the record of releases.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from mario_dagster.incidents.faults import faults
from mario_dagster.incidents.manifest import DamageManifest
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.workspace import FIRST_RELEASE

from .model import Fault, Struck

DEPLOY, LATE, UNAVAILABLE = "bad_deploy", "late_batches", "unavailable_batches"


def struck_of(sandbox: Sandbox) -> tuple[Struck, ...]:
    """All that was struck, in order of the task's tables."""
    manifest = sandbox.truth_store.damage_manifest()
    columns = _merged([*_cells(manifest), *_columns(manifest)])
    found = [*columns, *_rows(manifest), *_deploys(sandbox, manifest), *_waiting(sandbox)]
    order = {name: place for place, name in enumerate(sandbox.task.table_names)}
    return tuple(sorted(found, key=lambda each: (order.get(each.table, len(order)), each.column is None)))


def faults_of(struck: Sequence[Struck]) -> tuple[Fault, ...]:
    """The faults that did it, each once."""
    names = dict.fromkeys(name for each in struck for name in each.fault.split("+"))
    return tuple(Fault(name, _about(name)) for name in names)


def _about(name: str) -> str:
    """What a fault's own file says of it, else its class."""
    kind = faults().get(name)
    if kind is None:
        return ""
    own_file = kind.__module__.rpartition(".")[2] == name
    said = (sys.modules[kind.__module__].__doc__ if own_file else None) or kind.__doc__ or ""
    return said.strip().split("\n")[0]


def _cells(manifest: DamageManifest) -> Iterator[Struck]:
    for (fault, table, column), cells in _groups(manifest.cells, "fault", "table", "column"):
        lost, (clean, damaged) = int(cells["lost"].astype(bool).sum()), cells[["clean", "damaged"]].iloc[0]
        yield Struck(fault, table, column, f"{_said(clean)} became {_said(damaged)}", cells=len(cells), lost=lost)


def _columns(manifest: DamageManifest) -> Iterator[Struck]:
    for each in manifest.columns.to_dict("records"):
        if each["column"] is None:
            yield Struck(each["fault"], each["table"], each["landed_as"], "landed, and the contract has no such column")
            continue
        renamed = each["landed_as"] != each["column"]
        retyped = each["clean_type"] != each["landed_type"]
        what = [f"landed as {each['landed_as']}"] if renamed else []
        what += [f"landed as {each['landed_type']}, not {each['clean_type']}"] if retyped else []
        yield Struck(each["fault"], each["table"], each["column"], "; ".join(what) or "landed in another place")


def _merged(struck: Sequence[Struck]) -> Iterator[Struck]:
    """What one fault did to one column, told once."""
    places: dict[tuple[str, str, str | None], Struck] = {}
    for each in struck:
        place = (each.fault, each.table, each.column)
        before = places.get(place)
        places[place] = replace(before, what=f"{before.what}; {each.what}") if before else each
    yield from places.values()


def _rows(manifest: DamageManifest) -> Iterator[Struck]:
    for (fault, table, kind), rows in _groups(manifest.rows_added, "fault", "table", "kind"):
        batches = ", ".join(dict.fromkeys(map(str, rows["batch"])))
        yield Struck(fault, table, None, f"{kind} rows in {batches}", rows=len(rows))


def _deploys(sandbox: Sandbox, manifest: DamageManifest) -> Iterator[Struck]:
    """Releases of transforms that were deployed when the incident struck; in a sandbox nobody else deploys any."""
    for table in sandbox.task.derived_tables:
        if sandbox.workspace.code_version(table.name) == f"r{FIRST_RELEASE}":
            continue
        deploy = sandbox.workspace.deploy(table.name)
        what = [f"{column} was written as {name}" for column, name in deploy.rename.items()]
        what += [f"{column} was written like {pattern}" for column, pattern in deploy.texts.items()]
        said = "; ".join(what) or "it was computed wrongly"
        yield Struck(_deployer(manifest, table.name), table.name, None, f"a release of its transform: {said}")


def _deployer(manifest: DamageManifest, table: str) -> str:
    repairs = manifest.repairs
    named = list(repairs[repairs["table"] == table]["fault"]) if len(repairs) else []
    return str(named[0]) if named else DEPLOY


def _waiting(sandbox: Sandbox) -> Iterator[Struck]:
    store, table = sandbox.truth_store, sandbox.task.batched_table
    late = [batch for batch in store.pending if batch not in store.unavailable]
    if table is not None and late:
        workers = sandbox.steps[0].get("workers", 0)
        pool = f"; pool {sandbox.task.pool} had {workers} slot{'' if workers == 1 else 's'}" if workers else ""
        yield Struck(LATE, table.name, None, f"not loaded: {', '.join(late)}{pool}")
    if table is not None and store.unavailable:
        yield Struck(UNAVAILABLE, table.name, None, f"announced, and never delivered: {', '.join(store.unavailable)}")


def _groups(frame: pd.DataFrame, *names: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Groups of rows, in order of their first; nothing of a frame without rows, whose columns have no type."""
    if len(frame):
        for key, rows in frame.groupby(list(names), sort=False):
            yield tuple(map(str, key)), rows


def _said(value: object) -> str:
    return "nothing" if value is None or value != value else f"'{value}'"
