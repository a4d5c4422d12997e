"""How an incident strikes a pipeline that ran green: the same in an episode and in `dagster dev`.

In: a compiled incident, the pipeline's workspace and instance, and what runs its jobs. Out: damage where it comes from,
a bad release and files that land, and the runs that fail over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import dagster as dg

from mario_dagster.assets.sensors import range_tags, register_batches
from mario_dagster.core.task import Task
from mario_dagster.incidents.compile import Incident
from mario_dagster.tables.workspace import Workspace

from .false_alarm import alert_config
from .redelivery import redelivery

# Runs one of the task's jobs, by its name without the task's, with tags and config; it may fail.
Run = Callable[[str, Mapping[str, str], Mapping[str, object] | None], None]


def strike(incident: Incident, task: Task, workspace: Workspace, instance: dg.DagsterInstance, run: Run) -> None:
    """Bad deploy, redelivered feed, starved pool; then the schedule runs, and what fails, fails."""
    if incident.deploys:
        workspace.set_deploys(incident.deploys)
        run("refresh", {}, None)
        # The wrong arithmetic was rolled back at once; what the release did to names and spellings is still live.
        workspace.set_deploys({name: replace(deploy, scale={}) for name, deploy in incident.deploys.items()})
    manifest = workspace.landing.deliver(redelivery(incident, task))
    register_batches(instance, task, manifest)
    if task.pool:
        instance.event_log_storage.set_concurrency_slots(task.pool, incident.workers)
    run("hourly", range_tags(incident.healthy_batches), None)
    if incident.pending:
        run("replay", {"dagster/partition": incident.pending[0]}, None)
    for alert in incident.alerts:
        run("monitor", {}, alert_config(task, alert))
