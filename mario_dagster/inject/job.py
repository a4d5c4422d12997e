"""Striking a pipeline by hand: the job that lets an engineer break `dagster dev`'s healthy graph, and then mend it.

In: a profile and the clean day that has landed. Out: the same damage that an episode begins with: redelivered files, a
bad deploy, a starved pool. What breaks then breaks in the runs that follow.
"""

from typing import Any

import dagster as dg

from mario_dagster.assets.graph import Pipeline
from mario_dagster.assets.sensors import DEV_SEED, register_batches
from mario_dagster.core.files import SANDBOX_FILE
from mario_dagster.core.places import truth_folder
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.tables.workspace import workspace_of

from .redelivery import redelivery, reference_tables


def injection_jobs(pipeline: Pipeline) -> list[dg.JobDefinition]:
    """The job `<task>_inject_incident`: strikes the clean day that `dagster dev` landed, with a profile of choice.

    None for a task that has no profiles.
    """
    task = pipeline.task
    names = [each.name for each in profiles(task)]
    if not names:
        return []

    @dg.op(
        name=f"{task.slug}__inject_incident",
        config_schema={
            "profile": dg.Field(str, default_value=names[0], description=f"One of: {', '.join(names)}."),
        },
        description="Redeliver the feeds damaged, install the bad deploy, starve the pool. Then run the hourly job.",
    )
    def inject(context: dg.OpExecutionContext) -> None:
        workspace = workspace_of(context.instance, task.slug)
        if (workspace.root / SANDBOX_FILE).exists():
            raise dg.Failure("an episode is played here, and has its incident: inject one into `dagster dev`")
        if not workspace.landing.manifest().deliveries:
            raise dg.Failure(f"nothing has landed yet: switch the sensor {task.slug}_landing on, or wait for its tick")
        chosen = next(each for each in profiles(task) if each.name == _known(context.op_config["profile"], names))
        incident = compile_incident(task, chosen.name, split=chosen.splits[0], seed=DEV_SEED)
        truth_store = TruthStore(truth_folder(workspace.root.parent) / workspace.root.name)
        truth_store.seal(incident, reference_tables(incident, task, pipeline.transforms))
        workspace.set_deploys(incident.deploys)
        manifest = workspace.landing.deliver(redelivery(incident, task))
        register_batches(context.instance, task, manifest)
        if task.pool:
            context.instance.event_log_storage.set_concurrency_slots(task.pool, incident.workers)
        context.log.info(f"{chosen.name} has struck: materialize {task.slug} and see what fails")

    @dg.job(name=f"{task.slug}_inject_incident", description="Break the healthy pipeline with an incident of choice.")
    def inject_incident() -> None:
        inject()

    return [inject_incident]


def _known(name: Any, names: list[str]) -> str:
    if name not in names:
        raise dg.Failure(f"no profile '{name}'; choose one of: {', '.join(names)}")
    return str(name)
