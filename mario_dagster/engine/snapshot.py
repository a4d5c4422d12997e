"""How a pipeline stands between two acts: taken once before an act and once after it, and passed down from there.

In: a pipeline, its failure log, its truth store. Out: a `Snapshot`. Whoever has one need not ask the disk or the
instance again: what was computed for the same content is not computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from mario_dagster import definitions
from mario_dagster.checks.context import Backlog, backlog
from mario_dagster.runtime.queries import fingerprint
from mario_dagster.scoring.grading import grade_world
from mario_dagster.scoring.score import Grade
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.signals.failures import FailureLog
from mario_dagster.signals.signals import Signals, read_signals
from mario_dagster.tables.load import stored_version, table_name

from .pipeline import Pipeline

Mark = tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    """One pipeline as its tables, landing zone and instance tell it.

    Args:
        backlog: batches that are loaded, batches that wait, and the workers there are.
        contents: table -> what names its content; None for one that was never written.
        signals: what a player may know.
    """

    backlog: Backlog
    contents: Mapping[str, str | None]
    signals: Signals
    _judge: Callable[[], Grade] = field(repr=False, compare=False)

    @cached_property
    def grade(self) -> Grade:
        """The true score; compared when first asked for, which must be before anybody acts again."""
        return self._judge()

    def same_as(self, other: Snapshot) -> bool:
        """Whether what an act may change is the same: rows, batches loaded, workers, staleness, what is published."""
        return self._work == other._work

    @property
    def _work(self) -> tuple[Any, ...]:
        batches = tuple(
            tuple(entry.batch for entry in entries) for entries in (self.backlog.loaded, self.backlog.pending)
        )
        signals = self.signals
        return (
            self.contents,
            batches,
            self.backlog.workers,
            signals.stale_tables,
            signals.published,
            signals.committed,
        )


def mark(pipeline: Pipeline) -> Mark:
    """Changes with anything that a snapshot is computed from: the event log, a table's version, a landed file."""
    names = [table_name(pipeline.task, name) for name in pipeline.task.table_names]
    versions = tuple(pipeline.workspace.lake.version(name) for name in names)
    return (fingerprint(pipeline.instance.database), versions, pipeline.workspace.landing.stamp())


def take(pipeline: Pipeline, failures: FailureLog, truth_store: TruthStore) -> Snapshot:
    """The pipeline as it stands. Only for whoever keeps everybody else from acting meanwhile."""
    task, workspace, instance = pipeline.task, pipeline.workspace, pipeline.instance
    state = backlog(workspace, instance, task)
    signals = read_signals(workspace, instance, task, state, definitions.asset_graph(), failures)
    contents = {name: stored_version(workspace, task, name) for name in task.table_names}
    return Snapshot(state, contents, signals, partial(grade_world, workspace, task, truth_store, state))
