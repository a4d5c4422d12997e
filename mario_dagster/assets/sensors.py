"""The landing sensor: what notices new files, names their partitions, and has them loaded.

In: the landing zone's manifest. Out: dynamic partitions and run requests. In a sandbox it stands still (whoever plays
the episode decides what is loaded); in `dagster dev` on a fresh checkout it lands a clean day first, so that the graphs
have something to load.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import dagster as dg

from mario_dagster.core.files import SANDBOX_FILE
from mario_dagster.core.task import Task
from mario_dagster.runtime.instance import QUIET
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.landing import DeliveredFile, Delivery, Manifest
from mario_dagster.tables.load import SNAPSHOT
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tables.workspace import Workspace, workspace_of

from .graph import partitions_of
from .jobs import inject_name

HEALTHY_WORKERS = 3
DEV_SEED = 1
# Batches of the clean day that land before anything happens; no incident finds fewer loaded.
MORNING = 3
SECONDS = 10


def clean_drop(task: Task, clean: CleanData) -> Delivery:
    """What the producers deliver on a clean day, as files."""
    files = {(feed, SNAPSHOT): DeliveredFile(frame, len(frame), clean.now) for feed, frame in clean.feeds.items()}
    table = task.batched_table
    if table is not None and table.feed is not None:
        for batch in clean.batches:
            files[table.feed, batch.name] = DeliveredFile(batch.frame, len(batch.frame), batch.landed_at)
    return Delivery(now=clean.now, files=files)


def register_batches(instance: dg.DagsterInstance, task: Task, manifest: Manifest) -> tuple[str, ...]:
    """Make a dynamic partition of every batch that has landed; returns all of them, sorted."""
    table = task.batched_table
    if table is None or table.feed is None:
        return ()
    batches = tuple(manifest.feed(table.feed))
    name = str(partitions_of(task, table).name)
    fresh = sorted(set(batches) - set(instance.get_dynamic_partitions(name)))
    if fresh:
        instance.add_dynamic_partitions(name, fresh)
    return batches


def range_tags(batches: tuple[str, ...]) -> Mapping[str, str]:
    """Run tags that make one run of a range of partitions."""
    if not batches:
        return {}
    return {"dagster/asset_partition_range_start": batches[0], "dagster/asset_partition_range_end": batches[-1]}


def deliver_clean_day(
    workspace: Workspace, instance: dg.DagsterInstance, task: Task, seed: int = DEV_SEED
) -> tuple[str, ...]:
    """Land the morning of a clean day of a task's feeds, name its partitions, give the pool its usual slots."""
    drop = clean_drop(task, clean_data_of(task.slug, seed))
    batches = sorted({batch for _, batch in drop.files} - {SNAPSHOT})[:MORNING]
    manifest = workspace.landing.deliver(
        replace(drop, files={key: file for key, file in drop.files.items() if key[1] in (SNAPSHOT, *batches)})
    )
    if task.pool:
        instance.event_log_storage.set_concurrency_slots(task.pool, HEALTHY_WORKERS)
    return register_batches(instance, task, manifest)


def incident_open(instance: dg.DagsterInstance, task: Task) -> bool:
    """Whether an incident was injected since the tables were published last, as the instance's runs tell."""
    struck, published = (_newest(instance, job) for job in (inject_name(task), f"{task.slug}_commit"))
    return struck > published


def _newest(instance: dg.DagsterInstance, job: str) -> int:
    """The place of a job's newest run that succeeded; 0 where there is none."""
    succeeded = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
    return max((record.storage_id for record in instance.get_run_records(succeeded, limit=1)), default=0)


def landing_sensor(task: Task, jobs: Sequence[Any], *, running: bool = True) -> dg.SensorDefinition:
    """The sensor of one task's feeds: loads what lands, and publishes once, so that there is something to break.

    Args:
        jobs: the task's hourly job and its commit job.
        running: whether it is switched on where nobody has switched it.
    """
    hourly, commit = (f"{task.slug}_{name}" for name in ("hourly", "commit"))

    @dg.sensor(
        name=f"{task.slug}_landing",
        jobs=jobs,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="Names a partition for each batch that lands and has it loaded. Stands still while an incident is "
        "open, and in a sandbox.",
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instance, workspace = context.instance, workspace_of(context.instance, task.slug)
        if (workspace.root / SANDBOX_FILE).exists():
            return dg.SkipReason("an episode is played here: whoever plays it decides what is loaded")
        if incident_open(instance, task):
            return dg.SkipReason(f"an incident is open: repair it, and publish with {commit}")
        manifest = workspace.landing.manifest()
        if any(table.feed and not manifest.feed(table.feed) for table in task.tables):
            batches = deliver_clean_day(workspace, instance, task)
        else:
            batches = register_batches(instance, task, manifest)
        here = [
            each for each in workspace.landing.manifest().deliveries if workspace.landing.arrived(each.feed, each.batch)
        ]
        cursor = ",".join(sorted(f"{each.feed}/{each.batch}/{each.sha256[:8]}" for each in here))
        if context.cursor == cursor:
            if _newest(instance, hourly) and not _newest(instance, commit):
                return dg.RunRequest(run_key="first publication", job_name=commit, run_config=QUIET)
            return dg.SkipReason("nothing new has landed")
        context.update_cursor(cursor)
        # Up to the first batch that is announced and not there yet: a run of a range with a gap would load none of it.
        landed = {each.batch for each in here}
        tags = dict(range_tags(tuple(takewhile(landed.__contains__, batches))))
        return dg.RunRequest(job_name=hourly, tags=tags, run_config=QUIET)

    return landing
