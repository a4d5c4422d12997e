"""A pipeline's jobs: what its schedule runs, and what an engineer or an agent runs to recover it.

In: a `Pipeline`. Out: jobs, named `<task>_<what>`:

    temporal_hourly                 what the schedule runs: load, derive, judge
    temporal_load                   land files, nothing else
    temporal_repair_<table>         materialize one table, with a repair in its op config
    temporal_replay                 load one pending batch, then its table
    temporal_refresh                compute the derived tables again
    temporal_validate_<table>       judge one table: gates and audit, nothing written
    temporal_commit                 gates and audit of every table, then publish all of them or none
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from mario_dagster.core.task import Table, Task
from mario_dagster.runtime.instance import QUIET

from .graph import Pipeline, key_of, landed_key, partitions_of, repair_config

# Name of the grading check, which stands on a task's main table and runs in the commit job only.
GRADE = "grade"


def jobs_of(pipeline: Pipeline, *, graded: bool = True, quiet: bool = True) -> list[Any]:
    """Every job of a pipeline, as unresolved definitions.

    Args:
        graded: whether the grading check stands on the main table, to be run when the task commits.
        quiet: whether launchpads begin with what keeps runs from printing; for whoever else sees to that, it is noise.
    """
    task, select = pipeline.task, dg.AssetSelection
    graders = [dg.AssetCheckKey(key_of(task, task.main_table.name), GRADE)] if graded else []
    tables = {table.name: _with_facts(pipeline, table, graders) for table in task.tables}
    every_gate = [key for keys in pipeline.gates.values() for key in keys]
    audits = list(pipeline.audits.values())
    landing = [landed_key(task, table) for table in task.tables if not table.derived]
    published = [key_of(task, f"published_{name}") for name in task.table_names]
    everything = _union(list(tables.values())) | select.assets(*landing) | select.checks(*every_gate)
    config = QUIET if quiet else {}
    job = partial(_job, config=config)
    jobs = [
        job(f"{task.slug}_hourly", everything, "Load what has landed, derive, judge."),
        job(f"{task.slug}_load", select.assets(*landing), "Land files, nothing else."),
        job(
            f"{task.slug}_commit",
            select.checks(*every_gate, *audits, *graders) | select.assets(*published),
            "Judge and audit every table, then publish all of them or none.",
        ),
    ]
    for table in task.tables:
        jobs.append(
            _job(
                f"{task.slug}_repair_{table.name}",
                tables[table.name],
                f"Repair {table.name}, as its op config says; without an action, load or compute it again.",
                {**config, **_unfilled(task, table)},
            )
        )
        judged = [
            *pipeline.gates[table.name],
            *([pipeline.audits[table.name]] if table.name in pipeline.audits else []),
        ]
        jobs.append(
            job(f"{task.slug}_validate_{table.name}", select.checks(*judged), f"Judge {table.name}; write nothing.")
        )
    if task.derived_tables:
        refreshed = _union([tables[table.name] for table in task.derived_tables])
        jobs.append(job(f"{task.slug}_refresh", refreshed, "Compute the derived tables again."))
    if task.batched_table:
        batch = select.assets(landed_key(task, task.batched_table)) | tables[task.batched_table.name]
        jobs.append(job(f"{task.slug}_replay", batch, "Load one pending batch, then its table."))
    return jobs


def inject_name(task: Task) -> str:
    """The name of the job that has an incident strike in `dagster dev`."""
    return f"{task.slug}_inject_incident"


def schedule_name(task: Task) -> str:
    """The name of the schedule that runs a task's `hourly` job."""
    return f"{task.slug}_every_hour"


def schedule_of(pipeline: Pipeline) -> dg.ScheduleDefinition | dg.SensorDefinition:
    """What would run a pipeline every hour: its newest batch, everything downstream, and the gates."""
    task = pipeline.task

    @dg.schedule(
        name=schedule_name(task),
        cron_schedule="0 * * * *",
        job_name=f"{task.slug}_hourly",
        description="Load the newest batch, derive and judge; off until it is switched on.",
    )
    def every_hour(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if task.batched_table is None:
            return dg.RunRequest()
        batches = context.instance.get_dynamic_partitions(str(partitions_of(task, task.batched_table).name))
        if not batches:
            return dg.SkipReason("no batch has landed")
        return dg.RunRequest(partition_key=sorted(batches)[-1])

    return every_hour


def _job(name: str, selection: dg.AssetSelection, description: str, config: Mapping[str, Any]) -> Any:
    return dg.define_asset_job(name, selection, description=description, config=dict(config) or None)


def _unfilled(task: Task, table: Table) -> dict[str, Any]:
    """What a launchpad of a repair begins with: the op's name and its fields, none of them set."""
    return {"ops": {f"{task.slug}__{table.name}": {"config": dict.fromkeys(repair_config(table))}}}


def _with_facts(pipeline: Pipeline, table: Table, graders: list[dg.AssetCheckKey]) -> dg.AssetSelection:
    """A table with the facts that run with its materialization, without its gates, audit and grade."""
    key = key_of(pipeline.task, table.name)
    apart = [*pipeline.gates[table.name], *graders]
    if table.name in pipeline.audits:
        apart.append(pipeline.audits[table.name])
    return dg.AssetSelection.assets(key) - dg.AssetSelection.checks(*apart)


def _union(selections: list[dg.AssetSelection]) -> dg.AssetSelection:
    whole = selections[0]
    for each in selections[1:]:
        whole = whole | each
    return whole
