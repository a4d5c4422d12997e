"""How a sandbox comes to be: healthy history that really ran, then the strike, then the run that fails.

In: a compiled incident and an empty folder. Out: a sandbox in the state in which someone is called at night. Nothing is
written that a run did not write, but for the files that producers deliver and the deploy that a colleague made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mario_dagster import definitions
from mario_dagster.assets.jobs import schedule_name
from mario_dagster.assets.publish import RELEASES
from mario_dagster.assets.sensors import HEALTHY_WORKERS, clean_drop, range_tags, register_batches
from mario_dagster.checks.context import backlog
from mario_dagster.core.run_tags import ACTOR, HISTORY, INCIDENT, PHASE, SCHEDULER
from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import Incident
from mario_dagster.inject.strike import strike
from mario_dagster.runtime.instance import (
    RunResult,
    SandboxInstance,
    close_instance,
    create_home,
    open_instance,
    run_job,
)
from mario_dagster.runtime.location import record_tick
from mario_dagster.runtime.queries import pool_change_count
from mario_dagster.scoring.collateral import versions
from mario_dagster.scoring.grading import grade_world
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.signals.failures import FailureLog
from mario_dagster.signals.signals import read_signals
from mario_dagster.tables.load import SNAPSHOT, table_name
from mario_dagster.tables.workspace import Workspace, workspace_at

DAGSTER_HOME = "dagster"


class CreationError(RuntimeError):
    """History that should have been green was not: a fault of this package, not of a player."""


@contextmanager
def lived(incident: Incident, task: Task, root: Path) -> Iterator[tuple[Workspace, SandboxInstance]]:
    """Live an incident through in an empty sandbox folder, up to the failed scheduled run; open inside the block."""
    create_home(root / DAGSTER_HOME)
    instance = open_instance(root / DAGSTER_HOME)
    workspace = workspace_at(root)
    try:
        with instance.database.transaction():
            _healthy_history(incident, task, workspace, instance)
        with instance.database.transaction():
            _inject(incident, task, workspace, instance)
        yield workspace, instance
    finally:
        workspace.close()
        close_instance(instance)


def opening(workspace: Workspace, instance: SandboxInstance, task: Task, truth_store: TruthStore) -> dict[str, Any]:
    """What the first line of an episode's journal tells of the incident, by either feedback."""
    state = backlog(workspace, instance, task)
    signals = read_signals(workspace, instance, task, state, definitions.asset_graph(), FailureLog(instance))
    return {
        "started_at": state.manifest.now.isoformat(),
        "active_table": task.main_table.name,
        "workers": state.workers,
        "pool_changes": pool_change_count(instance.database),
        "result": f"incident open: {task.card.incident_summary}",
        "failing_checks": list(signals.blocking_failures),
        "versions": dict(versions(workspace, task)),
        "stored": dict(stored(workspace, task)),
        "scores": {"truth": grade_world(workspace, task, truth_store, state).score, "checks": signals.health},
    }


def stored(workspace: Workspace, task: Task) -> Iterator[tuple[str, int]]:
    """Newest versions of all that an episode stands on, each named as in the sandbox's folder."""
    for lake, names in ((workspace.lake, task.table_names), (workspace.published, (RELEASES,))):
        for name in names:
            version = lake.version(table_name(task, name))
            if version is not None:
                yield f"{lake.root.name}/{table_name(task, name)}", version


def _healthy_history(incident: Incident, task: Task, workspace: Workspace, instance: SandboxInstance) -> None:
    """The clean day so far: landed, loaded, derived, judged and published, all green."""
    workspace.set_deploys({})
    drop = clean_drop(task, incident.clean)
    landed = {key: file for key, file in drop.files.items() if key[1] in (*incident.healthy_batches, SNAPSHOT)}
    manifest = workspace.landing.deliver(replace(drop, files=landed))
    if task.pool:
        instance.event_log_storage.set_concurrency_slots(task.pool, HEALTHY_WORKERS)
    batches = register_batches(instance, task, manifest)
    for name, tags in (("hourly", range_tags(batches)), ("commit", {})):
        result = _run(instance, task, name, {**tags, PHASE: HISTORY})
        if not result.success:
            failed = sorted(check for (_, check), passed in result.checks.items() if not passed)
            raise CreationError(f"{task.slug}_{name} failed on clean data: {dict(result.errors)}; checks {failed}")


def _inject(incident: Incident, task: Task, workspace: Workspace, instance: SandboxInstance) -> None:
    """The incident strikes."""

    def run(name: str, tags: Mapping[str, str], config: Mapping[str, object] | None) -> None:
        _run(instance, task, name, {**tags, PHASE: INCIDENT}, config)

    strike(incident, task, workspace, instance, run)


def _run(
    instance: SandboxInstance,
    task: Task,
    name: str,
    tags: Mapping[str, str],
    config: Mapping[str, object] | None = None,
) -> RunResult:
    job = definitions.job(f"{task.slug}_{name}")
    # What the UI names as that which launched it.
    launcher = {"dagster/schedule_name": schedule_name(task)} if name == "hourly" else {"user": SCHEDULER}
    result = run_job(instance, job, tags={**tags, **launcher, ACTOR: SCHEDULER}, run_config=config)
    if name == "hourly":
        record_tick(instance, schedule_name(task), result.run_id)
    return result
