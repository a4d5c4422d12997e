"""Alerts of monitors outside the pipeline: each is a run that fails, as a monitor's job does when it cries out.

In: the text of an alert, as op config. Out: a failed run of `<task>_monitor`, in the event log like any other.
"""

import dagster as dg

from mario_dagster.core.task import Task


def monitor_job(task: Task) -> dg.JobDefinition:
    """The job of a monitor: it fails with the alert that it is given, be it right or wrong."""

    @dg.op(
        name=f"{task.slug}__monitor",
        config_schema={"alert": dg.Field(str, description="What the monitor cries out.")},
        description="Fails with the alert that it is given.",
    )
    def cry(context: dg.OpExecutionContext) -> None:
        raise dg.Failure(context.op_config["alert"])

    @dg.job(name=f"{task.slug}_monitor", description="A monitor outside the pipeline; it fails when it sees something.")
    def monitor() -> None:
        cry()

    return monitor


def alert_config(task: Task, alert: str) -> dict[str, object]:
    """Run config that makes the monitor cry out."""
    return {"ops": {f"{task.slug}__monitor": {"config": {"alert": alert}}}}
