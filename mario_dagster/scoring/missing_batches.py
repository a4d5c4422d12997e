"""Holding back: which announced batches are still not there, and whether nobody has published without them.

In: a workspace, its instance, its truth store, its backlog. Out: the batches that no replay can load, which truth and
score go without, and whether consumers still see what they saw before the incident. Both are looked up anew each time:
a file that somebody brings after all is there from then on, and then it is right to load it and to publish. For graders
only.
"""

from __future__ import annotations

from mario_dagster.assets.publish import newest_release
from mario_dagster.checks.context import Backlog
from mario_dagster.core.run_tags import HISTORY, PHASE
from mario_dagster.core.task import Task
from mario_dagster.runtime.instance import SandboxInstance
from mario_dagster.signals.signals import committed
from mario_dagster.tables.workspace import Workspace

from .truth import TruthStore


def absent_batches(workspace: Workspace, task: Task, truth_store: TruthStore, state: Backlog) -> tuple[str, ...]:
    """Batches of the incident that were announced only, and are neither loaded nor in the landing zone by now."""
    table = task.batched_table
    if table is None or table.feed is None or not truth_store.unavailable:
        return ()
    loaded = {each.batch for each in state.loaded}
    return tuple(
        batch
        for batch in truth_store.unavailable
        if batch not in loaded and not workspace.landing.arrived(table.feed, batch)
    )


def unpublished(workspace: Workspace, instance: SandboxInstance, task: Task) -> bool:
    """Nobody has run the commit job since the incident struck, and what consumers see is from before it."""
    if committed(instance, task) is not None:
        return False
    release = newest_release(workspace, task)
    run = instance.get_run_by_id(release.run_id) if release else None
    return release is None or (run is not None and run.tags.get(PHASE) == HISTORY)
