"""Grading a world as it stands: gathers what `grader.py` needs, and asks it.

In: a world, its backlog, its vault. Out: a `Grade`. Batches that nobody can load count neither for nor against: the
truth is without them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from mario_dagster.checks.context import Backlog
from mario_dagster.core.task import Table, Task
from mario_dagster.signals.freshness import freshness_lag_minutes
from mario_dagster.tables.content_cache import MEMO
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import stale_tables, table_name
from mario_dagster.tables.store import Stored
from mario_dagster.tables.workspace import World

from .compare import PipelineState, Truth, table_score
from .missing_batches import absent_batches
from .score import Grade, grade
from .truth import Vault


def grade_world(world: World, task: Task, vault: Vault, state: Backlog) -> Grade:
    """The score of a world now, from its tables and state; nothing recorded is trusted."""
    names = [name for name in task.table_names if world.lake.exists(table_name(task, name))]
    stored = {name: world.lake.read(table_name(task, name)) for name in names}
    tables = {name: each.frame for name, each in stored.items()}
    absent = absent_batches(world, task, vault, state)
    due = replace(state, pending=tuple(each for each in state.pending if each.batch not in absent))
    truth = Truth({name: vault.twin(name, absent) for name in task.table_names}, vault.lost)
    return grade(
        task,
        tables,
        truth,
        PipelineState(
            loaded=len(due.loaded),
            pending=len(due.pending),
            lag_minutes=freshness_lag_minutes(world, task, due),
            stale=bool(stale_tables(world, task)),
            workers=state.workers,
            # What the pool is said to need counts all that waits, so what is scored does too.
            required_workers=state.required_workers,
            late=tuple(batch for batch in vault.pending if batch not in absent),
        ),
        {table.name: _score((vault.key, absent), table, stored.get(table.name), truth) for table in task.tables},
    )


def _score(named: Hashable, table: Table, stored: Stored | None, truth: Truth) -> float:
    """A table's own score, computed once for each content and for each truth, which is `named`."""
    if stored is None:
        return 0.0
    twin, lost = truth.tables[table.name], truth.lost.get(table.name, frozenset())
    key = (
        "score",
        named,
        table.name,
        content_hash(stored.frame) if not stored.note.data_version else stored.note.data_version,
    )
    return MEMO.get(key, lambda: table_score(table, stored.frame, twin, lost))
