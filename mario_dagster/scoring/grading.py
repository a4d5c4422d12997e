"""Grading a pipeline as it stands: gathers what `score.py` needs, and asks it.

In: a workspace, its backlog, its truth store. Out: a `Grade`. Batches that nobody can load count neither for nor
against: the truth is without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from mario_dagster.checks.context import Backlog
from mario_dagster.core.task import Task
from mario_dagster.signals.freshness import freshness_lag_minutes
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.load import stale_tables, table_name
from mario_dagster.tables.workspace import Workspace

from .compare import PipelineState, Truth
from .missing_batches import absent_batches
from .score import Grade, grade
from .truth import TruthStore


def grade_world(workspace: Workspace, task: Task, truth_store: TruthStore, state: Backlog) -> Grade:
    """The score of a pipeline now, from its tables and state; nothing recorded is trusted.

    What is the same tables and the same truth as before has the same part in the score, and is not compared again.
    """
    names = [name for name in task.table_names if workspace.lake.exists(table_name(task, name))]
    stored = {name: workspace.lake.read(table_name(task, name)) for name in names}
    absent = absent_batches(workspace, task, truth_store, state)
    due = replace(state, pending=tuple(each for each in state.pending if each.batch not in absent))
    return grade(
        task,
        {name: each.frame for name, each in stored.items()},
        Truth(ReferenceTables(truth_store, task, absent), truth_store.lost, (truth_store.key, absent)),
        PipelineState(
            loaded=len(due.loaded),
            pending=len(due.pending),
            lag_minutes=freshness_lag_minutes(workspace, task, due),
            stale=bool(stale_tables(workspace, task)),
            workers=state.workers,
            # What the pool is said to need counts all that waits, so what is scored does too.
            required_workers=state.required_workers,
            late=tuple(batch for batch in truth_store.pending if batch not in absent),
        ),
        {name: each.provenance.data_version or content_hash(each.frame) for name, each in stored.items()},
    )


class ReferenceTables(Mapping[str, pd.DataFrame]):
    """The reference's tables, each read when it is looked at: of most, the part in a score is known already."""

    def __init__(self, truth_store: TruthStore, task: Task, absent: tuple[str, ...]):
        self._truth_store, self._task, self._absent = truth_store, task, absent

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._task.table_names:
            raise KeyError(name)
        return self._truth_store.reference(name, self._absent)

    def __iter__(self) -> Iterator[str]:
        return iter(self._task.table_names)

    def __len__(self) -> int:
        return len(self._task.table_names)
