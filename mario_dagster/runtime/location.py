"""Which code location a sandbox's runs belong to, as the Dagster UI asks of each of them.

In: a job's name. Out: its origin. A run without one stands on no timeline and on no page of its job or schedule. The
names are those that `dagster-webserver -m mario_dagster.definitions` and `workspace.yaml` give, so that the UI that
is served in process and the stock one show the same runs.
"""

from __future__ import annotations

from functools import cache

from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

MODULE = "mario_dagster.definitions"
REPOSITORY = SINGLETON_REPOSITORY_NAME
# No path of this machine in it: it is stored with every run.
CODE_LOCATION = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), location_name=MODULE)


@cache
def job_origin(job: str) -> RemoteJobOrigin:
    """Where a job of that name is defined."""
    return RemoteJobOrigin(RemoteRepositoryOrigin(CODE_LOCATION, REPOSITORY), job)
