"""Which code location a sandbox's runs belong to, as the Dagster UI asks of each of them.

In: a job's name. Out: its origin. A run without one stands on no timeline and on no page of its job or schedule. The
names are those that `dagster-webserver -m mario_dagster.definitions` and `workspace.yaml` give, so that the UI that
is served in process and the stock one show the same runs.
"""

from __future__ import annotations

from functools import cache

from dagster import DagsterInstance
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._time import get_current_timestamp

MODULE = "mario_dagster.definitions"
REPOSITORY = SINGLETON_REPOSITORY_NAME
# No path of this machine in it: it is stored with every run.
CODE_LOCATION = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), location_name=MODULE)


_REPOSITORY_ORIGIN = RemoteRepositoryOrigin(CODE_LOCATION, REPOSITORY)


@cache
def job_origin(job: str) -> RemoteJobOrigin:
    """Where a job of that name is defined."""
    return RemoteJobOrigin(_REPOSITORY_ORIGIN, job)


def record_tick(instance: DagsterInstance, schedule: str, run_id: str) -> None:
    """Record that a schedule ticked and launched a run: its page lists runs by its ticks."""
    origin = RemoteInstigatorOrigin(_REPOSITORY_ORIGIN, schedule)
    record, now = instance.get_run_record_by_id(run_id), get_current_timestamp()
    tick = TickData(
        instigator_origin_id=origin.get_id(),
        instigator_name=schedule,
        instigator_type=InstigatorType.SCHEDULE,
        status=TickStatus.SUCCESS,
        timestamp=(record.start_time if record else None) or now,
        end_timestamp=now,
        run_ids=[run_id],
        selector_id=origin.get_selector().get_id(),
    )
    instance.create_tick(tick)
