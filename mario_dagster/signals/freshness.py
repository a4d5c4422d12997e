"""What is late, what is stale, by how much: from Dagster's own staleness, the manifest and the lake's notes.

In: a workspace, its instance, its asset graph. Out: derived tables that are stale; lags in minutes on the incident's
clock.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from mario_dagster.checks.context import Backlog
from mario_dagster.core.task import Task
from mario_dagster.runtime.instance import freshness
from mario_dagster.tables.load import stale_tables, table_name
from mario_dagster.tables.store import NoTable
from mario_dagster.tables.workspace import Workspace


def dagster_stale(instance: dg.DagsterInstance, task: Task, graph: Any, known: frozenset[str]) -> frozenset[str]:
    """Derived tables that are not fresh by Dagster's data versions, or stand on a table that is not.

    Dagster's resolver looks one hop up, so what is two hops below a change is followed here.

    Args:
        known: derived tables that are stale anyway. Dagster is asked no further where they decide the answer: looking
            through a feed's partitions is the dear part of it.
    """
    if known.issuperset(table.name for table in task.derived_tables):
        return known
    is_fresh = freshness(instance, graph)
    stale = set(known)
    for table in task.tables:
        if table.name in stale:
            continue
        if stale.intersection(table.upstream) or not is_fresh(dg.AssetKey([task.slug, table.name])):
            stale.add(table.name)
    return frozenset(name for name in stale if task.table(name).derived)


def stale(workspace: Workspace, instance: dg.DagsterInstance, task: Task, graph: Any) -> frozenset[str]:
    """Derived tables that are stale by what they record of their own inputs, or by Dagster.

    Dagster notes the inputs of every materialization, also of a repair that did not compute the table anew; the lake's
    note keeps the inputs of the last computation, so a table that was only touched is still seen to be old.
    """
    return dagster_stale(instance, task, graph, stale_tables(workspace, task))


def freshness_lag_minutes(workspace: Workspace, task: Task, state: Backlog) -> float:
    """Age of the oldest landed batch that some derived table does not show; 0 when they show all."""
    oldest = 0.0
    for table in task.derived_tables:
        try:
            shown = workspace.lake.provenance(table_name(task, table.name)).loaded.keys()
        except NoTable:
            shown = set()  # type: ignore[assignment]
        hidden = [each for each in (*state.loaded, *state.pending) if each.batch not in shown]
        oldest = max([oldest, *(state.manifest.minutes_since(each.landed_at) for each in hidden)])
    return round(oldest, 2)


def queue_backlog_age_minutes(state: Backlog) -> float:
    """Age of the oldest batch that is not loaded; 0 when all are."""
    return round(max((state.manifest.minutes_since(each.landed_at) for each in state.pending), default=0.0), 2)
