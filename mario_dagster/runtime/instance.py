"""A Dagster instance for one sandbox, and a quick way to run a job on it.

In: a Dagster home (a directory), job definitions, tags and run config. Out: runs recorded in that home as stock
Dagster records them, and a `RunResult` with what went wrong and which checks passed.

Why: `DagsterInstance.get()` opens slow storages and sets up logging and log capture that a process with many sandboxes
cannot share. Every private name of Dagster that running needs is used here and in `storage.py`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, JobDefinition, OpDefinition
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.execute_in_process import core_execute_in_process, merge_run_tags
from dagster._core.instance import InstanceRef, InstanceType
from dagster._core.loader import LoadingContext
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster_shared.error import SerializableErrorInfo

from mario_dagster.core.errors import Damaged, StorageError, Unavailable
from mario_dagster.core.files import for_now

from .database import DATABASE, Database
from .launcher import SandboxRunLauncher
from .storage import SandboxEventLogStorage, SandboxStorage, create_database

DAGSTER_YAML = """\
# Written when the sandbox was made. Any Dagster tool with DAGSTER_HOME set to this folder works on it.
storage:
  custom:
    module: mario_dagster.runtime.storage
    class: SandboxStorage
    config:
      base_dir:
        env: DAGSTER_HOME
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
telemetry:
  enabled: false
# No newsletter window over an incident.
nux:
  enabled: false
"""
_TROUBLE: Mapping[str, type[StorageError]] = {each.__name__: each for each in (Damaged, Unavailable)}
_REFUSED = frozenset({"OSError", "PermissionError", "OperationalError", "BlockingIOError"})
_OF_THE_DATABASE = frozenset({"OperationalError", "DatabaseError", "DBAPIError"})
BACKFILL_DAEMON = "BACKFILL"
INTERRUPTED = "DagsterExecutionInterruptedError"
SETTINGS: Mapping[str, Any] = {"telemetry": {"enabled": False}}
# Runs are read in the UI, not on a terminal; the event log has everything that this would print.
QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

# What Dagster wraps around an exception that user code raised.
DAGSTER_WRAPPERS = frozenset(
    {
        "DagsterExecutionStepExecutionError",
        "DagsterExecutionLoadInputError",
        "DagsterExecutionHandleOutputError",
        "DagsterResourceFunctionError",
        "DagsterTypeCheckError",
    }
)
POOL_WAIT_SECONDS = 10.0
POOL_POLL_SECONDS = 0.05

# Dagster's in-process runs touch process-wide state (warning filters, signal handlers, logging). They hold the GIL
# nearly all the time, so one lock costs nothing. Always taken after the database's write lock, never before it.
_RUNNING = threading.RLock()
_TEMPLATE_LOCK = threading.Lock()


class SandboxInstance(DagsterInstance):
    """A `DagsterInstance` on one sandbox's home."""

    def __init__(self, home: Path):
        storage = SandboxStorage(str(home))
        self.database: Database = storage.database
        self.home = home
        super().__init__(
            instance_type=InstanceType.EPHEMERAL,
            local_artifact_storage=LocalArtifactStorage(str(home)),
            run_storage=storage.run_storage,
            event_storage=storage.event_log_storage,
            schedule_storage=storage.schedule_storage,
            compute_log_manager=NoOpComputeLogManager(),
            run_coordinator=DefaultRunCoordinator(),
            run_launcher=SandboxRunLauncher(),  # type: ignore[no-untyped-call]
            settings=SETTINGS,
        )

    @property
    def event_log_storage(self) -> SandboxEventLogStorage:
        return self._event_storage  # type: ignore[return-value]

    def get_ref(self) -> InstanceRef:
        """What opens the same home elsewhere; Dagster asks for it where it evaluates partitions and schedules."""
        return InstanceRef.from_dir(str(self.home))

    def get_daemon_statuses(self, daemon_types: Sequence[str] | None = None) -> Mapping[str, Any]:
        """No daemon is needed; whoever serves the UI brings backfills to their end, as one would."""
        # Only a UI asks, and the package of all daemons is slow to import.
        from dagster._daemon.types import DaemonStatus

        kinds = [BACKFILL_DAEMON] if daemon_types is None else daemon_types
        return {
            kind: DaemonStatus(kind, required=kind == BACKFILL_DAEMON, healthy=True, last_heartbeat=None)
            for kind in kinds
        }

    @property
    def storage_id(self) -> str:
        """The database file: the same for every instance open on this home."""
        return self.database.path

    def get_yaml_python_handlers(self) -> list[Any]:
        # Stock calls logging.config.dictConfig on every run, which deadlocks against handler locks of other threads.
        return []


def create_home(home: Path) -> None:
    """Makes `home` a Dagster home: a `dagster.yaml` and an empty, migrated database."""
    home.mkdir(parents=True, exist_ok=True)
    (home / DATABASE).write_bytes(_empty_database())
    (home / "dagster.yaml").write_text(DAGSTER_YAML)


def _empty_database() -> bytes:
    # The lock, so that threads that start together do not each migrate one.
    with _TEMPLATE_LOCK:
        return _migrated_database()


@lru_cache(maxsize=1)
def _migrated_database() -> bytes:
    """A database made once a process: migrating costs 150 ms, writing half a megabyte under one."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, DATABASE)
        create_database(str(path))
        return path.read_bytes()


def open_instance(home: Path) -> SandboxInstance:
    """The instance of an existing home (see `create_home`)."""
    return SandboxInstance(home.absolute())


def close_instance(instance: SandboxInstance) -> None:
    """Closes every connection and stops every thread the instance has opened."""
    instance.dispose()


@dataclass(frozen=True)
class PreparedJob:
    """A job in the form that `execute_in_process` would make of it anew on every call.

    Attributes:
        pools: concurrency pools that its steps take a slot of.
    """

    source: JobDefinition
    definition: JobDefinition
    default_config: Mapping[str, Any]
    pools: frozenset[str]


@lru_cache(maxsize=256)
def prepared(job_def: JobDefinition) -> PreparedJob:
    """The in-process form of a job or of a subset of one (`job.get_subset(…)`); cached per job object."""
    root = job_def
    while root.asset_selection_data is not None:
        root = root.asset_selection_data.parent_job_def
    definition = root.as_ephemeral_job(resource_defs={}, input_values={})
    assets, checks = job_def.asset_selection, job_def.asset_check_selection
    if assets or checks is not None:
        # Frozen, as in stock runs: which kind of set it is goes into the snapshot's id.
        definition = definition.get_subset(
            asset_selection=frozenset(assets) if assets else None,
            asset_check_selection=None if checks is None else frozenset(checks),
        )
    pools = {node.pool for node in definition.all_node_defs if isinstance(node, OpDefinition) and node.pool}
    return PreparedJob(job_def, definition, {**QUIET, **(definition.run_config or {})}, frozenset(pools))


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        errors: what each failed step raised ("ValueError: no such column"), by step key; "" is the run itself.
        checks: whether each asset check that was evaluated passed, by (asset key as "a/b", check name).
        reasons: what each check that failed says of it, in its own words, by the same keys.
    """

    run_id: str
    success: bool
    errors: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)


def run_job(
    instance: SandboxInstance,
    job_def: JobDefinition,
    *,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any] | None = None,
    partition_key: str | None = None,
) -> RunResult:
    """Runs a job to its end, in this thread, as one transaction (the open one, if there is one).

    Nothing is visible to other processes before that transaction ends. A step that fails is no exception: it is in
    the result, and in the event log. A pool that other processes' runs keep full is waited for, up to
    `POOL_WAIT_SECONDS`; in an open transaction, which keeps them from ending, or after that time, the run fails.

    Raises:
        KeyboardInterrupt: a signal ended the run half-way; it has left no trace.
        Damaged, Unavailable: its files are not what was written, or out of reach; the run has left no trace.
        DagsterInvalidConfigError: `run_config` does not fit the job; no run was made.
        DagsterUnknownPartitionError: there is no partition `partition_key`; no run was made.
    """
    job = prepared(job_def)
    config = {**job.default_config, **(run_config or {})}
    with _transaction(instance, job), _RUNNING:
        all_tags = merge_run_tags(
            job_def=job.source,
            partition_key=partition_key,
            tags=tags,
            asset_selection=list(job.source.asset_selection or ()) or None,
            instance=instance,
            run_config=run_config,
        )
        run = core_execute_in_process(
            run_config=config,
            job=InMemoryJob(job.definition),
            instance=instance,
            output_capturing_enabled=False,
            raise_on_error=False,
            run_tags=all_tags,
            asset_selection=frozenset(job.definition.asset_selection or ()),
        )
        return _whole(_result(run.run_id, run.all_events), job_def.name)


def execute_created(instance: SandboxInstance, job_def: JobDefinition, run: DagsterRun) -> RunResult:
    """Executes a run that the UI has created and not started, in the transaction that is open in this thread.

    Args:
        job_def: the whole job; what is selected of it stands in the run.

    Raises:
        KeyboardInterrupt, Damaged, Unavailable: as `run_job` does; the open transaction must be undone.
    """
    # The run that is stored keeps its own config; for the terminal of whoever serves the UI it is quiet.
    quiet = run._replace(run_config={**QUIET, **run.run_config})
    with _RUNNING, _outside_event_loop():
        done = execute_run(InMemoryJob(job_def), quiet, instance, raise_on_error=False)
        return _whole(_result(run.run_id, done.all_events), job_def.name)


@contextmanager
def _outside_event_loop() -> Iterator[None]:
    """Runs begin event loops of their own, and a mutation of the UI is executed inside one."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


def _whole(result: RunResult, job: str) -> RunResult:
    """A run's result, unless it was cut short.

    Dagster makes a failed step of whatever is raised in it. Nothing may be built on half a run: what was no doing of
    the pipeline's goes on as the exception that it was, and the transaction is undone.
    """
    for text in result.errors.values():
        if INTERRUPTED in text:
            raise KeyboardInterrupt(f"{job} was interrupted")
        if (trouble := storage_trouble(text)) is not None:
            raise trouble
    return result


@contextmanager
def _transaction(instance: SandboxInstance, job: PreparedJob) -> Iterator[None]:
    """The thread's open transaction, or a new one, begun when the job's pools have a free slot."""
    if instance.database.in_transaction:
        yield
        return
    deadline = time.monotonic() + POOL_WAIT_SECONDS
    while True:
        with instance.database.transaction():
            if time.monotonic() > deadline or all(map(instance.event_log_storage.has_room, job.pools)):
                yield
                return
        time.sleep(POOL_POLL_SECONDS)


def _result(run_id: str, events: Sequence[DagsterEvent]) -> RunResult:
    errors: dict[str, str] = {}
    checks: dict[tuple[str, str], bool] = {}
    reasons: dict[tuple[str, str], str] = {}
    for event in events:
        if event.is_step_failure:
            errors[event.step_key or ""] = plain_error(event.step_failure_data.error) or event.message or ""
        elif event.is_run_failure and not errors:
            errors[""] = plain_error(event.job_failure_data.error) or event.message or ""
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            key = (evaluation.asset_key.to_user_string(), evaluation.check_name)
            checks[key] = evaluation.passed
            if not evaluation.passed and evaluation.description:
                reasons[key] = evaluation.description
    return RunResult(run_id, any(event.is_job_success for event in events), errors, checks, reasons)


def storage_trouble(text: str) -> StorageError | None:
    """What a failed step's error says of the sandbox's files; None where it says nothing of them."""
    name, _, said = text.partition(": ")
    if name in _TROUBLE:
        return _TROUBLE[name](said)
    if "sqlite3." in text or name in _OF_THE_DATABASE:
        lost = any(phrase in text for phrase in ("malformed", "not a database", "no such table"))
        where = f"dagster/{DATABASE}"
        return Damaged(f"{where} is not what was written") if lost else Unavailable(f"{where} is out of reach for now")
    # Whatever else met the system's refusal on its way: a library's own file, a temporary one.
    refusal = for_now(OSError(text)) if name in _REFUSED else None
    return None if refusal is None else Unavailable(f"the run was cut short: {refusal}")


def plain_error(error: SerializableErrorInfo | None) -> str:
    """What user code raised, as "ValueError: no such column": no wrapper of Dagster's, no module, no traceback."""
    if error is None:
        return ""
    while error.cause is not None and error.cls_name in DAGSTER_WRAPPERS:
        error = error.cause
    name, colon, text = error.message.strip().partition(": ")
    return f"{error.cls_name}{colon}{text}" if name.rpartition(".")[2] == error.cls_name else error.message.strip()


class _Reads(LoadingContext):
    """What Dagster loads through while it answers one question: nothing of it outlives the answer."""

    def __init__(self, instance: DagsterInstance):
        self._instance = instance
        self._loaders: dict[type, Any] = {}

    @property
    def instance(self) -> DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, Any]:
        return self._loaders


def freshness(instance: DagsterInstance, graph: Any) -> Callable[[AssetKey], bool]:
    """Tells of an asset whether it is fresh by Dagster's data versions, one hop up, as the instance stands now."""
    resolver = CachingStaleStatusResolver(instance, graph, loading_context=_Reads(instance))
    return lambda key: resolver.get_status(key) == StaleStatus.FRESH
