"""`dagster dev` in a fresh checkout: five healthy graphs, an incident of choice, and the jobs that mend it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mario_dagster import definitions
from mario_dagster.assets.sensors import DEV_SEED, deliver_clean_day, landing_sensor, range_tags
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
from mario_dagster.tables.workspace import workspace_of

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


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.slug)
def test_a_fresh_checkout_lands_materializes_and_publishes_green(instance: SandboxInstance, task: Task) -> None:
    context = dg.build_sensor_context(instance=instance)
    request = landing_sensor(task).evaluate_tick(context).run_requests
    assert request is not None and len(request) == 1
    loaded = run(instance, f"{task.slug}_hourly", **request[0].tags)
    assert loaded.success and all(loaded.checks.values()), loaded
    committed = run(instance, f"{task.slug}_commit")
    assert committed.success and all(committed.checks.values()), committed


def test_an_injected_incident_breaks_the_next_hourly_run(instance: SandboxInstance) -> None:
    task = definitions.pipelines()["temporal"].task
    workspace = workspace_of(instance, "temporal")
    batches = deliver_clean_day(workspace, instance, task)
    assert run(instance, "temporal_hourly", **range_tags(batches)).success
    name = profiles("temporal")[0].name
    config = {"ops": {"temporal__inject_incident": {"config": {"profile": name}}}}
    assert run(instance, "temporal_inject_incident", config).success
    broken = run(instance, "temporal_hourly", **range_tags(batches))
    assert not broken.success and not all(broken.checks.values())
    assert not run(instance, "temporal_commit").success
    incident = compile_incident("temporal", name, seed=DEV_SEED)
    assert workspace.landing.manifest().workers_floor == incident.required_floor


def test_injecting_an_unknown_profile_says_which_there_are(instance: SandboxInstance) -> None:
    task = definitions.pipelines()["temporal"].task
    deliver_clean_day(workspace_of(instance, "temporal"), instance, task)
    config = {"ops": {"temporal__inject_incident": {"config": {"profile": "nonesuch"}}}}
    failed = run(instance, "temporal_inject_incident", config)
    assert not failed.success
    assert "temporal_rollup_backfill_incident" in " ".join(failed.errors.values())
