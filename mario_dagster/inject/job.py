"""Striking a pipeline by hand: the job that lets an engineer break `dagster dev`'s healthy graph, and then mend it.

In: a profile and the clean day that has landed. Out: the same as an episode begins with: redelivered files, a bad
release, a starved pool, and the runs that fail over them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from mario_dagster.assets.graph import Pipeline
from mario_dagster.assets.incident import PAGE, incident_key
from mario_dagster.assets.jobs import inject_name
from mario_dagster.assets.sensors import DEV_SEED, incident_open
from mario_dagster.core.files import SANDBOX_FILE
from mario_dagster.core.places import truth_folder
from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.runtime.instance import QUIET
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.tables.workspace import Workspace, workspace_of

from .redelivery import reference_tables
from .strike import strike

FindJob = Callable[[str], dg.JobDefinition]


def injection_jobs(pipeline: Pipeline, find_job: FindJob) -> list[dg.JobDefinition]:
    """The job `<task>_inject_incident`: strikes the clean day that `dagster dev` landed, with a profile of choice.

    None for a task that has no profiles.

    Args:
        find_job: a job of the pipeline by its whole name.
    """
    task = pipeline.task
    known = {each.name: each for each in profiles(task)}
    if not known:
        return []
    choices = dg.Enum(f"{task.slug}_profile", [dg.EnumValue(name, description=p.summary) for name, p in known.items()])

    @dg.op(
        name=f"{task.slug}__inject_incident",
        config_schema={
            "profile": dg.Field(choices, default_value=next(iter(known)), description="Which family of incidents.")
        },
        description="Bad release, damaged files, a starved pool; then the hourly run fails over them.",
    )
    def inject(context: dg.OpExecutionContext) -> None:
        workspace = workspace_of(context.instance, task.slug)
        _require_calm(workspace, context.instance, task)
        chosen = known[context.op_config["profile"]]
        incident = compile_incident(task, chosen.name, split=chosen.splits[0], seed=DEV_SEED)
        truth_store = TruthStore(truth_folder(workspace.root.parent) / workspace.root.name)
        truth_store.seal(incident, reference_tables(incident, task, pipeline.transforms))

        def run(name: str, tags: Mapping[str, str], config: Mapping[str, object] | None) -> None:
            job = find_job(f"{task.slug}_{name}")
            whole: dict[str, Any] = {**QUIET, **(config or {})}
            job.execute_in_process(whole, instance=context.instance, tags=dict(tags), raise_on_error=False)

        strike(incident, task, workspace, context.instance, run)
        page = dg.MetadataValue.md(f"## {task.name}\n\n{task.card.incident_summary}\n\n{_requirements(task)}")
        context.log_event(dg.AssetMaterialization(incident_key(task), metadata={PAGE: page}))
        context.log.info(f"{chosen.name} has struck: see which checks of {task.slug} fail, and mend them")

    @dg.job(name=inject_name(task), description="Break the healthy pipeline with an incident of choice.")
    def inject_incident() -> None:
        inject()

    return [inject_incident]


def _require_calm(workspace: Workspace, instance: dg.DagsterInstance, task: Task) -> None:
    """Raises `dagster.Failure` where there is nothing healthy to be struck."""
    if (workspace.root / SANDBOX_FILE).exists():
        raise dg.Failure("an episode is played here, and has its incident: inject one into `dagster dev`")
    if not workspace.landing.manifest().deliveries:
        raise dg.Failure(f"nothing has landed yet: switch the sensor {task.slug}_landing on, or wait for its tick")
    if incident_open(instance, task):
        raise dg.Failure(f"an incident is open already: repair it, and publish with {task.slug}_commit")


def _requirements(task: Task) -> str:
    return "\n".join(f"- {each}" for each in task.card.recovery_requirements)
