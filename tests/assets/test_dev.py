"""`dagster dev` in a fresh checkout: five healthy graphs, an incident of choice, and the jobs that mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mario_dagster import definitions
from mario_dagster.assets.publish import newest_release
from mario_dagster.assets.sensors import DEV_SEED, deliver_clean_day, incident_open
from mario_dagster.checks.context import backlog, pool_slots
from mario_dagster.core.action import REPAIRS, Action, ActionId
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.runtime.instance import (
    RunResult,
    SandboxInstance,
    close_instance,
    create_home,
    open_instance,
    run_job,
)
from mario_dagster.tables.workspace import Workspace, workspace_of

SCALED = {ActionId.SCALE_RECOVERY_WORKERS_UP: 1, ActionId.SCALE_RECOVERY_WORKERS_DOWN: -1}
REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[SandboxInstance]:
    """A Dagster home that no sandbox is around, as `dagster dev` has one."""
    create_home(tmp_path / "home")
    opened = open_instance(tmp_path / "home")
    yield opened
    for task in tasks():
        workspace_of(opened, task.slug).close()
    close_instance(opened)


def run(instance: SandboxInstance, name: str, config: dict[str, Any] | None = None, **tags: str) -> RunResult:
    return run_job(instance, definitions.job(name), tags=tags, run_config=config)


def test_the_workspace_names_the_code_location() -> None:
    workspace = yaml.safe_load((REPO / "workspace.yaml").read_text())
    (entry,) = workspace["load_from"]
    assert entry["python_module"]["module_name"] == "mario_dagster.definitions"
    assert {job.name for job in definitions.defs().resolve_all_job_defs()} >= {
        f"{task.slug}_{job}" for task in tasks() for job in ("hourly", "commit", "inject_incident")
    }


def tick(instance: SandboxInstance, task: Task, cursor: str | None = None) -> tuple[RunResult | None, str | None]:
    """A tick of the landing sensor: the run that it had launched, and its cursor."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    sensors = definitions.defs().sensors or []
    data = next(each for each in sensors if each.name == f"{task.slug}_landing").evaluate_tick(context)
    requests = data.run_requests or []
    assert len(requests) <= 1
    done = [run(instance, str(each.job_name), **each.tags) for each in requests]
    return (done[0] if done else None), data.cursor


def healthy(instance: SandboxInstance, task: Task) -> str:
    """As after a minute of `dagster dev`: landed, loaded, published; the sensor's cursor."""
    loaded, cursor = tick(instance, task)
    assert loaded is not None and loaded.success and all(loaded.checks.values()), loaded
    committed, cursor = tick(instance, task, cursor)
    assert committed is not None and committed.success and all(committed.checks.values()), committed
    again, cursor = tick(instance, task, cursor)
    assert again is None
    return str(cursor)


def inject(instance: SandboxInstance, task: Task, profile: str) -> RunResult:
    config = {"ops": {f"{task.slug}__inject_incident": {"config": {"profile": profile}}}}
    return run(instance, f"{task.slug}_inject_incident", config)


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.slug)
def test_a_fresh_checkout_lands_materializes_and_publishes_green(instance: SandboxInstance, task: Task) -> None:
    healthy(instance, task)
    assert newest_release(workspace_of(instance, task.slug), task) is not None


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.slug)
def test_an_injected_incident_waits_to_be_repaired_by_hand_and_published(instance: SandboxInstance, task: Task) -> None:
    """With the public jobs alone, as a person launches them, in the order of the solution."""
    cursor, workspace = healthy(instance, task), workspace_of(instance, task.slug)
    name = next(each.name for each in profiles(task.slug, "train"))
    incident = compile_incident(task.slug, name, seed=DEV_SEED)
    assert inject(instance, task, name).success
    assert tick(instance, task, cursor)[0] is None, "the sensor holds still"
    state = backlog(workspace, instance, task)
    assert bool(state.pending) is bool(incident.pending)
    assert not run(instance, f"{task.slug}_commit").success
    assert not inject(instance, task, name).success, "one incident at a time"
    table = task.main_table.name
    for action in incident.solution[:-1]:
        if action.id is ActionId.INSPECT_SCHEMA and action.target_column in task.table_names:
            table = str(action.target_column)
        by_hand(instance, task, workspace, replace(action, table=action.table or table))
    if task.derived_tables:
        by_hand(instance, task, workspace, Action(ActionId.REFRESH_DOWNSTREAM_ASSETS))
    committed = run(instance, f"{task.slug}_commit")
    assert committed.success, committed
    assert not incident_open(instance, task)


def by_hand(instance: SandboxInstance, task: Task, workspace: Workspace, action: Action) -> None:
    """What a person launches in the UI in place of an action."""
    if action.id in REPAIRS:
        config = {"ops": {f"{task.slug}__{action.table}": {"config": action.to_config()}}}
        assert run(instance, f"{task.slug}_repair_{action.table}", config).success, action
    elif action.id is ActionId.REPLAY_PRIORITY_BATCH:
        # All at once: the morning is three batches, and the incident may have found one more of them loaded.
        for waiting in backlog(workspace, instance, task).pending:
            assert run(instance, f"{task.slug}_replay", **{"dagster/partition": waiting.batch}).success
    elif action.id is ActionId.REFRESH_DOWNSTREAM_ASSETS:
        assert run(instance, f"{task.slug}_refresh").success
    elif task.pool and action.id in SCALED:
        change = SCALED[action.id]
        slots = pool_slots(instance, task.pool) + change
        instance.event_log_storage.set_concurrency_slots(task.pool, slots)


def test_an_unknown_profile_is_refused_by_the_launchpad(instance: SandboxInstance) -> None:
    task = definitions.pipelines()["temporal"].task
    deliver_clean_day(workspace_of(instance, "temporal"), instance, task)
    config = {"ops": {"temporal__inject_incident": {"config": {"profile": "nonesuch"}}}}
    checked = dg.validate_run_config
    with pytest.raises(dg.DagsterInvalidConfigError, match="nonesuch"):
        checked(definitions.job("temporal_inject_incident"), config)
