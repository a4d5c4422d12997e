"""The code location: every task's graph, checks, jobs and schedule. What `workspace.yaml` names.

In: the pipeline specs of all tasks, plugins' included. Out: one `Definitions`, and the same jobs, built once, for runs
inside this process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from .assets.graph import LakeIOManager, Pipeline, build
from .assets.incident import incident_asset
from .assets.jobs import jobs_of, schedule_of
from .assets.publish import published_assets
from .assets.sensors import landing_sensor
from .core.entry_points import left_out
from .core.errors import BrokenTask
from .core.registry import tasks
from .core.task import Task
from .inject.false_alarm import monitor_job
from .inject.job import injection_jobs
from .scoring.grade_check import grade_check
from .tables.spec import pipeline_spec
from .tables.workspace import SANDBOX_VARIABLE, workspace_at


@cache
def pipelines() -> dict[str, Pipeline]:
    """Every task's pipeline, by slug. A task whose pipeline spec is no good is left out with a warning."""
    built = {}
    for task in tasks():
        try:
            built[task.slug] = build(task, pipeline_spec(task).transforms, _live(task))
        except BrokenTask as error:
            left_out("pipeline", task.pipeline_spec, str(error))
    return built


def _live(task: Task) -> dict[str, str]:
    """Live releases of a task's transforms, where this process is of one sandbox, as `mario ui` makes it.

    Without them Dagster's own tools could not say that another release than the live one computed a table. What runs in
    a process of many sandboxes says it by the lake's record, which each materialization's code version is taken from.
    """
    named = os.environ.get(SANDBOX_VARIABLE)
    if not named or Path(os.environ.get("DAGSTER_HOME", "")).parent != Path(named):
        return {}
    workspace = workspace_at(Path(named))
    return {table.name: workspace.code_version(table.name) for table in task.derived_tables}


@cache
def definitions() -> dg.Definitions:
    """All definitions, built once a process."""
    assets: list[Any] = []
    checks: list[Any] = []
    jobs: list[Any] = []
    schedules: list[Any] = []
    sensors: list[Any] = []
    for pipeline in pipelines().values():
        assets += [incident_asset(pipeline.task), *pipeline.assets, published_assets(pipeline.task)]
        checks += [*pipeline.checks, grade_check(pipeline.task)]
        own = jobs_of(pipeline)
        jobs += [*own, *injection_jobs(pipeline, job), monitor_job(pipeline.task)]
        schedules.append(schedule_of(pipeline))
        sensors.append(landing_sensor(pipeline.task, _landing_jobs(pipeline.task, own)))
    return _definitions(assets=assets, asset_checks=checks, jobs=jobs, schedules=schedules, sensors=sensors)


@cache
def definitions_of(slug: str) -> dg.Definitions:
    """What the UI of a sandbox shows: one task's pipeline, with what an engineer may run to repair it.

    Neither the grading check, whose answer is the episode's, nor the job that brings an incident about. The sensor is
    off: where an episode is played, nothing lands by itself.
    """
    own = pipelines()[slug]
    jobs = jobs_of(own, graded=False, quiet=False)
    return _definitions(
        assets=[incident_asset(own.task), *own.assets, published_assets(own.task)],
        asset_checks=own.checks,
        jobs=[*jobs, monitor_job(own.task)],
        schedules=[schedule_of(own)],
        sensors=[landing_sensor(own.task, _landing_jobs(own.task, jobs), running=False)],
    )


def _landing_jobs(task: Task, jobs: Sequence[Any]) -> list[Any]:
    """Of a task's jobs, those that its sensor launches."""
    return [each for each in jobs if each.name in (f"{task.slug}_hourly", f"{task.slug}_commit")]


@cache
def repository_of(slug: str) -> dg.RepositoryDefinition:
    """The same, resolved once a process."""
    return definitions_of(slug).get_repository_def()


def _definitions(**parts: Any) -> dg.Definitions:
    return dg.Definitions(
        **parts,
        resources={"lake": LakeIOManager()},
        # A step is milliseconds of pandas; a process for each would cost seconds.
        executor=dg.in_process_executor,
    )


@cache
def job(name: str) -> dg.JobDefinition:
    """One job, resolved once: resolving costs tens of milliseconds, an episode runs dozens."""
    return definitions().resolve_job_def(name)


@cache
def asset_graph() -> Any:
    """The graph that Dagster's staleness is computed over."""
    return definitions().resolve_asset_graph()


def pipeline(task: Task) -> Pipeline:
    """A task's pipeline. Raises `BrokenTask` where it has none that works."""
    if task.slug not in pipelines():
        pipeline_spec(task)  # says what is wrong with it
        raise BrokenTask(task.slug, "it is not registered")
    return pipelines()[task.slug]


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
