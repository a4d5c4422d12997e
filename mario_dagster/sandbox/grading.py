"""Grading a world as it stands: gathers what `grader.py` needs, and asks it.

In: a world, its Dagster instance, its vault. Out: a `Grade`.
"""

from __future__ import annotations

import dagster as dg

from mario_dagster.assets.evidence import backlog, pool_slots
from mario_dagster.assets.tables import stale_tables, table_name
from mario_dagster.assets.world import World
from mario_dagster.catalog import Task

from .freshness import freshness_lag_minutes
from .grader import Grade, PipelineState, Truth, grade
from .vault import Vault


def grade_world(world: World, instance: dg.DagsterInstance, task: Task, vault: Vault) -> Grade:
    """The score of a world now, from its tables and state; nothing recorded is trusted."""
    state = backlog(world, instance, task)
    tables = {
        name: world.lake.read(table_name(task, name)).frame
        for name in task.table_names
        if world.lake.exists(table_name(task, name))
    }
    return grade(
        task,
        tables,
        Truth({name: vault.twin(name) for name in task.table_names}, vault.lost),
        PipelineState(
            loaded=len(state.loaded),
            pending=len(state.pending),
            lag_minutes=freshness_lag_minutes(world, task, state),
            stale=bool(stale_tables(world, task)),
            workers=pool_slots(instance, task.pool) if task.pool else 0,
            required_workers=state.required_workers,
            late=vault.pending,
        ),
    )
