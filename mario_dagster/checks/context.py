"""What checks may look at, gathered from one workspace and its Dagster instance. Never the truth store.

In: a workspace and an instance. Out: a `CheckContext`, and the backlog: what has landed and is not materialized.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import pandas as pd

from mario_dagster.core.task import Task, required_workers
from mario_dagster.tables.content_cache import CONTENT_CACHE
from mario_dagster.tables.landing import Manifest, ManifestEntry
from mario_dagster.tables.load import SNAPSHOT, stale_tables, table_name
from mario_dagster.tables.workspace import Workspace

from .contract import ContractReport, contract_report, report_bytes
from .outcome import CheckContext


@dataclass(frozen=True)
class Backlog:
    """Batches that have landed, apart by whether Dagster has materialized them, and who is to load them.

    Args:
        workers: slots of the recovery pool; 0 for a task without one.
    """

    loaded: tuple[ManifestEntry, ...]
    pending: tuple[ManifestEntry, ...]
    manifest: Manifest
    workers: int = 0

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.pending)

    @property
    def required_workers(self) -> int:
        return required_workers(len(self.pending), self.rows, self.manifest.workers_floor)


def backlog(workspace: Workspace, instance: dg.DagsterInstance, task: Task) -> Backlog:
    """The state of a task's batches; empty for a task without batches."""
    manifest = workspace.landing.manifest()
    table = task.batched_table
    if table is None or table.feed is None:
        return Backlog((), (), manifest)
    materialized = instance.get_materialized_partitions(dg.AssetKey([task.slug, f"landed_{table.feed}"]))
    deliveries = manifest.feed(table.feed).values()
    return Backlog(
        tuple(each for each in deliveries if each.batch in materialized),
        tuple(each for each in deliveries if each.batch not in materialized),
        manifest,
        pool_slots(instance, task.pool) if task.pool else 0,
    )


def gather(workspace: Workspace, task: Task, state: Backlog, stale: frozenset[str]) -> CheckContext:
    """Everything the checks of a task may look at, as it stands now.

    Args:
        stale: derived tables that are older than their inputs.
    """
    names = [name for name in task.table_names if workspace.lake.exists(table_name(task, name))]
    declared = {
        table.feed: entry.rows
        for table in task.tables
        if table.feed and not table.batched and (entry := state.manifest.feed(table.feed).get(SNAPSHOT))
    }
    stored = {name: workspace.lake.read(table_name(task, name)) for name in names}
    return CheckContext(
        task=task,
        tables={name: each.frame for name, each in stored.items()},
        landed={entry.batch: entry.rows for entry in state.loaded},
        pending=tuple(entry.batch for entry in state.pending),
        stale=stale,
        declared=declared,
        versions={name: each.provenance.data_version for name, each in stored.items()},
        reports={
            name: (each.frame, report_of(task, name, each.frame, each.provenance.data_version))
            for name, each in stored.items()
        },
    )


def context_now(workspace: Workspace, instance: dg.DagsterInstance, task: Task) -> CheckContext:
    """What the gates of a run look at: staleness is the lake's own record, since the run is not over for Dagster."""
    return gather(workspace, task, backlog(workspace, instance, task), stale_tables(workspace, task))


def report_of(task: Task, table: str, frame: pd.DataFrame, data_version: str) -> ContractReport:
    """The contract report of a table's content, made once for each content."""
    if not data_version:
        return contract_report(frame, task.table(table))
    key = ("report", task.slug, table, data_version)
    return CONTENT_CACHE.get(key, lambda: contract_report(frame, task.table(table)), report_bytes)


def pool_slots(instance: dg.DagsterInstance, pool: str) -> int:
    """Slots of a concurrency pool, as Dagster would grant them."""
    return instance.event_log_storage.get_concurrency_info(pool).slot_count


def require_workers(instance: dg.DagsterInstance, workspace: Workspace, task: Task, batches: Sequence[str]) -> None:
    """Fail a load of pending batches that the pool is too small for.

    Reloading a batch that Dagster already holds is routine and needs no recovery worker.
    """
    state = backlog(workspace, instance, task)
    if task.pool is None or not {each.batch for each in state.pending}.intersection(batches):
        return
    slots, needed = state.workers, state.required_workers
    if slots < needed:
        raise dg.Failure(
            f"loading {', '.join(batches)} takes {needed} recovery workers while {len(state.pending)} batches "
            f"({state.rows} rows) are pending, and pool '{task.pool}' has {slots}: scale up by {needed - slots} first",
            allow_retries=False,
        )
