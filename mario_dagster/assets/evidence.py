"""What checks may look at, gathered from one world and its Dagster instance. Never the vault.

In: a world and an instance. Out: `Evidence`, and the backlog: what has landed and is not materialized.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from mario_dagster.catalog import Task

from .checks import Evidence
from .landing import Delivery, Manifest, required_workers
from .tables import SNAPSHOT, stale_tables, table_name
from .world import World


@dataclass(frozen=True)
class Backlog:
    """Batches that have landed, apart by whether Dagster holds a materialized partition of them."""

    loaded: tuple[Delivery, ...]
    pending: tuple[Delivery, ...]
    manifest: Manifest

    @property
    def rows(self) -> int:
        return sum(delivery.rows for delivery in self.pending)

    @property
    def required_workers(self) -> int:
        return required_workers(len(self.pending), self.rows, self.manifest.workers_floor)


def backlog(world: World, instance: dg.DagsterInstance, task: Task) -> Backlog:
    """The state of a task's batches; empty for a task without batches."""
    manifest = world.landing.manifest()
    table = task.batched_table
    if table is None or table.feed is None:
        return Backlog((), (), manifest)
    materialized = instance.get_materialized_partitions(dg.AssetKey([task.slug, f"landed_{table.feed}"]))
    deliveries = manifest.feed(table.feed).values()
    return Backlog(
        tuple(each for each in deliveries if each.batch in materialized),
        tuple(each for each in deliveries if each.batch not in materialized),
        manifest,
    )


def gather(
    world: World, instance: dg.DagsterInstance, task: Task, extra_stale: frozenset[str] = frozenset()
) -> Evidence:
    """Everything the checks of a task may look at, as it stands now.

    Args:
        extra_stale: derived tables that Dagster's own staleness names, where the caller has asked it.
    """
    state = backlog(world, instance, task)
    names = [name for name in task.table_names if world.lake.exists(table_name(task, name))]
    declared = {
        table.feed: delivery.rows
        for table in task.tables
        if table.feed and not table.batched and (delivery := state.manifest.feed(table.feed).get(SNAPSHOT))
    }
    return Evidence(
        task=task,
        tables={name: world.lake.read(table_name(task, name)).frame for name in names},
        landed={delivery.batch: delivery.rows for delivery in state.loaded},
        pending=tuple(delivery.batch for delivery in state.pending),
        stale=stale_tables(world, task) | extra_stale,
        declared=declared,
    )


def pool_slots(instance: dg.DagsterInstance, pool: str) -> int:
    """Slots of a concurrency pool, as Dagster would grant them."""
    return instance.event_log_storage.get_concurrency_info(pool).slot_count


def require_workers(instance: dg.DagsterInstance, world: World, task: Task, batches: Sequence[str]) -> None:
    """Fail a load of pending batches that the pool is too small for.

    Reloading a batch that Dagster already holds is routine and needs no recovery worker.
    """
    state = backlog(world, instance, task)
    if task.pool is None or not {each.batch for each in state.pending}.intersection(batches):
        return
    slots, needed = pool_slots(instance, task.pool), state.required_workers
    if slots < needed:
        raise dg.Failure(
            f"loading {', '.join(batches)} takes {needed} recovery workers while {len(state.pending)} batches "
            f"({state.rows} rows) are pending; pool '{task.pool}' has {slots}",
            allow_retries=False,
        )
