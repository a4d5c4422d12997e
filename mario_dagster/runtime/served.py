"""What the UI of one sandbox acts through: who may do what, runs executed at once, backfills brought to their end.

In: an open instance, the task's repository, and what the caller wants to be asked and told (`Launching`). Out: the
process context that Dagster's webserver asks for each request. Whatever a person launches is one transaction, from the
run's row to its last event: it is there as a whole or not at all, and a failed run is a failed run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster
from dagster import DagsterRun, RepositoryDefinition
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.workspace.context import IWorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.permissions import PermissionResult, Permissions
from dagster._core.workspace.workspace import CurrentWorkspace
from dagster._daemon.backfill import execute_backfill_iteration

from mario_dagster.core.errors import Refused, StorageError

from .code_location import workspace_with
from .instance import SandboxInstance, execute_created

# What repairing a pipeline takes. Not among it: rewriting history (wiping assets, deleting runs, reporting events that
# no run had), partitions and schedules, which belong to the incident.
REPAIRS = frozenset(
    {
        Permissions.LAUNCH_PIPELINE_EXECUTION,
        Permissions.LAUNCH_PIPELINE_REEXECUTION,
        Permissions.TERMINATE_PIPELINE_EXECUTION,
        Permissions.LAUNCH_PARTITION_BACKFILL,
        Permissions.CANCEL_PARTITION_BACKFILL,
        Permissions.EDIT_CONCURRENCY_LIMIT,
    }
)
NO_REPAIR = "This belongs to the incident: a repair launches runs and backfills, or sets pool slots."
IN_PROGRESS = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
# A backfill takes two or three. One that gets nowhere, on a full disk for example, goes on at the next launch.
BACKFILL_ITERATIONS = 100
BACKFILL_PAUSE_SECONDS = 0.05
_LOG = logging.getLogger(__name__)


def _nothing(*_: object) -> None:
    """Neither refuses nor tells."""


@dataclass(frozen=True)
class Launching:
    """What a UI's caller has a say in.

    Attributes:
        before_launch: asked of each run before it begins; raises `Refused` where it may not. Then there is no run;
            but of a backfill, which nobody waits for, the run fails and says why.
        before_pool: asked before a pool (by name) gets so many slots; raises `Refused` where it may not.
        on_run_finished: told the id of each run, once its transaction is over.
        acting: a transaction for whatever a request changes, entered in the thread that does it, so that the caller can
            add to it. None is the database's own.
    """

    before_launch: Callable[[DagsterRun], None] = _nothing
    before_pool: Callable[[str, int], None] = _nothing
    on_run_finished: Callable[[str], None] = _nothing
    acting: Callable[[], AbstractContextManager[object]] | None = None


@dataclass
class _Act:
    """What one transaction has done so far.

    Attributes:
        asked: somebody waits for the answer, and can be told why nothing happened.
    """

    asked: bool = True
    finished: list[str] = field(default_factory=list)
    trouble: BaseException | None = None


class ServedRequest(WorkspaceRequestContext):
    """One request's view of the workspace, with the permissions of a repair."""

    def __init__(self, served: ServedWorkspace, workspace: CurrentWorkspace, source: object | None):
        super().__init__(
            instance=served.instance,
            current_workspace=workspace,
            process_context=served,
            version=served.version,
            source=source,
            read_only=served.read_only is not None,
        )
        self._served = served

    @property
    def show_instance_config(self) -> bool:
        """Nobody needs to know where on a server's disk an episode lies."""
        return False

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        return self._allowed(super().permissions)

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        return self._allowed(super().permissions_for_location(location_name=location_name))

    def _allowed(self, permissions: Mapping[str, PermissionResult]) -> Mapping[str, PermissionResult]:
        why = self._served.read_only or NO_REPAIR
        return {
            name: result if result.enabled and name in REPAIRS else PermissionResult(False, why)
            for name, result in permissions.items()
        }


class ServedWorkspace(IWorkspaceProcessContext[ServedRequest]):
    """One sandbox, as its UI sees it and acts on it.

    Args:
        read_only: why nothing may be launched, in words that the UI shows; None where everything may that repairs.
    """

    def __init__(
        self, instance: SandboxInstance, repository: RepositoryDefinition, read_only: str | None, launching: Launching
    ):
        self._instance = instance
        self._repository = repository
        self._workspace = workspace_with(repository)
        self._launching = launching
        self._local = threading.local()
        self._backfills = threading.Lock()
        self._ending: threading.Thread | None = None
        self.read_only = read_only
        instance.event_log_storage.before_pool = self._before_pool

    # --- what Dagster asks --------------------------------------------------------------------------------------------

    def create_request_context(self, source: Any | None = None) -> ServedRequest:
        return ServedRequest(self, self._workspace, source)

    @property
    def version(self) -> str:
        return dagster.__version__

    @property
    def instance(self) -> SandboxInstance:
        return self._instance

    def reload_code_location(self, name: str) -> None:
        """Nothing: code is loaded once a process."""

    def reload_workspace(self) -> None:
        """Nothing, as above."""

    def refresh_workspace(self) -> None:
        """Nothing, as above."""

    # --- acting -------------------------------------------------------------------------------------------------------

    @contextmanager
    def acting(self, *, asked: bool = True) -> Iterator[None]:
        """Everything that this thread changes inside is kept together, or not at all.

        Args:
            asked: somebody waits for the answer.

        Raises:
            Damaged, Unavailable: a file is not what was written or out of reach; nothing has happened.
            Refused: the caller does not allow it; nothing has happened.
        """
        act = self._local.act = _Act(asked)
        try:
            with (self._launching.acting or self._instance.database.transaction)():
                yield
                # GraphQL makes an answer of whatever is raised in it, and would have half a run committed.
                if act.trouble is not None:
                    raise act.trouble
        finally:
            self._local.act = None
        for run_id in act.finished:
            self._launching.on_run_finished(run_id)

    def execute(self, run: DagsterRun) -> None:
        """Execute a run that was created in the act that is open in this thread."""
        act: _Act | None = getattr(self._local, "act", None)
        if act is None:
            raise Refused("runs are launched by a mutation of the UI")
        try:
            self._launching.before_launch(run)
        except Refused as refusal:
            if act.asked:
                act.trouble = refusal
                raise
            # Reported as the run's own failure: it ends here, and its page says why.
            self._instance.report_run_failed(run, message=str(refusal))
        else:
            job = self._repository.get_job(run.job_name)
            try:
                execute_created(self._instance, job, run)
            except (StorageError, KeyboardInterrupt) as error:
                act.trouble = error
                raise
        act.finished.append(run.run_id)

    def _before_pool(self, pool: str, slots: int) -> None:
        try:
            self._launching.before_pool(pool, slots)
        except Refused as refusal:
            act: _Act | None = getattr(self._local, "act", None)
            if act is not None:
                act.trouble = refusal
            raise

    # --- backfills ----------------------------------------------------------------------------------------------------

    def end_backfills(self) -> None:
        """Have backfills that are in progress brought to their end, beside the request that asked for them."""
        with self._backfills:
            if self._ending is None and self._in_progress():
                self._ending = threading.Thread(target=self._end_backfills, name="mario-backfills", daemon=True)
                self._ending.start()

    def join_backfills(self, seconds: float) -> None:
        """Wait for backfills that are being brought to their end."""
        ending = self._ending
        if ending is not None:
            ending.join(seconds)

    def _in_progress(self) -> bool:
        return bool(self._instance.get_backfills(filters=BulkActionsFilter(statuses=list(IN_PROGRESS)), limit=1))

    def _end_backfills(self) -> None:
        for _ in range(BACKFILL_ITERATIONS):
            try:
                with self._backfills:
                    if not self._in_progress():
                        self._ending = None
                        return
                self._iterate_backfills()
            except Exception:
                _LOG.exception("a backfill could not go on")
            time.sleep(BACKFILL_PAUSE_SECONDS)
        with self._backfills:
            self._ending = None

    def _iterate_backfills(self) -> None:
        """One round of what Dagster's daemon does, as one transaction: runs are launched and executed in it."""
        quiet = logging.Logger("mario.backfills", level=logging.CRITICAL)
        with self.acting(asked=False):
            for _ in execute_backfill_iteration(self, quiet):
                pass
