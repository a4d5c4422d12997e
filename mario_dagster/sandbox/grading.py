"""Grading a world as it stands: gathers what `grader.py` needs, and asks it.

In: a world, its backlog, its vault. Out: a `Grade`.
"""

from __future__ import annotations

from mario_dagster.assets.evidence import Backlog
from mario_dagster.assets.frames import content_hash
from mario_dagster.assets.lake import Stored
from mario_dagster.assets.memo import MEMO
from mario_dagster.assets.tables import stale_tables, table_name
from mario_dagster.assets.world import World
from mario_dagster.catalog import Table, Task

from .freshness import freshness_lag_minutes
from .grader import Grade, PipelineState, Truth, grade, table_score
from .vault import Vault


def grade_world(world: World, task: Task, vault: Vault, state: Backlog) -> Grade:
    """The score of a world now, from its tables and state; nothing recorded is trusted."""
    names = [name for name in task.table_names if world.lake.exists(table_name(task, name))]
    stored = {name: world.lake.read(table_name(task, name)) for name in names}
    tables = {name: each.frame for name, each in stored.items()}
    truth = Truth({name: vault.twin(name) for name in task.table_names}, vault.lost)
    return grade(
        task,
        tables,
        truth,
        PipelineState(
            loaded=len(state.loaded),
            pending=len(state.pending),
            lag_minutes=freshness_lag_minutes(world, task, state),
            stale=bool(stale_tables(world, task)),
            workers=state.workers,
            required_workers=state.required_workers,
            late=vault.pending,
        ),
        {table.name: _score(vault, table, stored.get(table.name), truth) for table in task.tables},
    )


def _score(vault: Vault, table: Table, stored: Stored | None, truth: Truth) -> float:
    """A table's own score, computed once for each content."""
    if stored is None:
        return 0.0
    twin, lost = truth.tables[table.name], truth.lost.get(table.name, frozenset())
    key = (
        "score",
        vault.key,
        table.name,
        content_hash(stored.frame) if not stored.note.data_version else stored.note.data_version,
    )
    return MEMO.get(key, lambda: table_score(table, stored.frame, twin, lost))
