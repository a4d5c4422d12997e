"""A Dagster instance for one sandbox, and a quick way to run a job on it.

In: a Dagster home (a directory), job definitions, tags and run config. Out: runs recorded in that home as stock
Dagster records them, and a `RunResult` with what went wrong and which checks passed.

Why: `DagsterInstance.get()` opens slow storages and sets up logging and log capture that a process with many sandboxes
cannot share. Every private name of Dagster that running needs is used here and in `storage.py`, and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dagster import DagsterEvent, DagsterInstance, DagsterRun, JobDefinition
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import ExecuteRunWithPlanIterable, create_execution_plan, job_execution_iterator
from dagster._core.execution.context_creation_job import (
    PlanOrchestrationContextManager,
    orchestration_context_event_generator,
)
from dagster._core.execution.execute_in_process import merge_run_tags
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.instance import InstanceType
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.snap import ExecutionPlanSnapshot, JobSnap, snapshot_from_execution_plan
from dagster._core.snap.execution_plan_snapshot import create_execution_plan_snapshot_id
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._utils.error import SerializableErrorInfo

from mario_dagster.sandbox.storage import DATABASE, Database, SandboxStorage, create_database

DAGSTER_YAML = """\
# Written when the sandbox was made. Any Dagster tool with DAGSTER_HOME set to this folder works on it.
storage:
  module: mario_dagster.sandbox.storage
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
"""
SETTINGS: Mapping[str, Any] = {"telemetry": {"enabled": False}}
QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

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
            run_launcher=SyncInMemoryRunLauncher(),
            settings=SETTINGS,
        )

    @property
    def storage_id(self) -> str:
        """The database file: the same for every instance open on this home."""
        return self.database.path

    @cached_property
    def run_domain(self) -> RunDomain:
        return SandboxRunDomain(self)

    def get_yaml_python_handlers(self) -> list[Any]:
        # Stock calls logging.config.dictConfig on every run, which deadlocks against handler locks of other threads.
        return []


class SandboxRunDomain(RunDomain):
    """Stock run creation that remembers the ids of execution plan snapshots, which are hashes of a long text."""

    def ensure_persisted_execution_plan_snapshot(
        self,
        execution_plan_snapshot: ExecutionPlanSnapshot,
        job_snapshot_id: str,
        step_keys_to_execute: Sequence[str] | None,
    ) -> str:
        snapshot_id = _plan_snapshot_id(execution_plan_snapshot)
        if self._instance.run_storage.has_execution_plan_snapshot(snapshot_id):
            return snapshot_id
        return super().ensure_persisted_execution_plan_snapshot(
            execution_plan_snapshot, job_snapshot_id, step_keys_to_execute
        )


_PLAN_IDS: dict[int, tuple[ExecutionPlanSnapshot, str]] = {}


def _plan_snapshot_id(snapshot: ExecutionPlanSnapshot) -> str:
    return create_execution_plan_snapshot_id(snapshot)


def create_home(home: Path) -> None:
    """Makes `home` a Dagster home: a `dagster.yaml` and an empty, migrated database."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_template(), home / DATABASE)
    (home / "dagster.yaml").write_text(DAGSTER_YAML)


@lru_cache(maxsize=1)
def _template_directory() -> tempfile.TemporaryDirectory[str]:
    directory = tempfile.TemporaryDirectory(prefix="mario-template-")
    create_database(os.path.join(directory.name, DATABASE))
    return directory


def _template() -> str:
    """Path of a database made once a process: migrating costs 200 ms, copying under one."""
    with _TEMPLATE_LOCK:
        return os.path.join(_template_directory().name, DATABASE)


def open_instance(home: Path) -> SandboxInstance:
    """The instance of an existing home (see `create_home`)."""
    return SandboxInstance(home.absolute())


def close_instance(instance: SandboxInstance) -> None:
    """Closes every connection and stops every thread the instance has opened."""
    instance.dispose()
    instance.database.dispose()


class PreparedJob:
    """A job ready to run in process, with what `execute_in_process` would build anew on every call."""

    def __init__(self, source: JobDefinition, definition: JobDefinition):
        self.source = source
        self.definition = definition
        self.job = InMemoryJob(definition)
        self.snapshot: JobSnap = definition.get_job_snapshot()
        self.parent_snapshot: JobSnap | None = definition.get_parent_job_snapshot()
        self._plans: dict[str, tuple[ExecutionPlan, ExecutionPlanSnapshot]] = {}

    def plan(self, run_config: Mapping[str, Any]) -> tuple[ExecutionPlan, ExecutionPlanSnapshot]:
        shape = _shape(run_config)
        if shape not in self._plans:
            plan = create_execution_plan(self.job, run_config=run_config)
            self._plans[shape] = plan, snapshot_from_execution_plan(plan, self.snapshot.snapshot_id)
        return self._plans[shape]


def _shape(run_config: Mapping[str, Any]) -> str:
    """All of a run config that an execution plan can depend on: not what the ops themselves are given."""
    ops = {name: {k: v for k, v in op.items() if k != "config"} for name, op in run_config.get("ops", {}).items()}
    return repr({**run_config, "ops": ops})


@lru_cache(maxsize=256)
def prepared(job_def: JobDefinition) -> PreparedJob:
    """The in-process form of a job or of a subset of one (`job.get_subset(…)`); cached per job object."""
    root = job_def
    while root.asset_selection_data is not None:
        root = root.asset_selection_data.parent_job_def
    definition = root.as_ephemeral_job(resource_defs={}, input_values={})
    if job_def.asset_selection or job_def.asset_check_selection is not None:
        definition = definition.get_subset(
            asset_selection=job_def.asset_selection or None, asset_check_selection=job_def.asset_check_selection
        )
    return PreparedJob(job_def, definition)


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        errors: innermost message of each step that failed, by step key; "" is the run itself.
        checks: whether each asset check that was evaluated passed, by (asset key as "a/b", check name).
    """

    run_id: str
    success: bool
    errors: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[tuple[str, str], bool] = field(default_factory=dict)


def run_job(
    instance: SandboxInstance,
    job_def: JobDefinition,
    *,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any] | None = None,
    partition_key: str | None = None,
) -> RunResult:
    """Runs a job to its end, in this thread, as one transaction (the open one, if there is one).

    A step that fails is no exception: it is in the result, and in the event log.
    """
    job = prepared(job_def)
    with _ambient_transaction(instance.database), _RUNNING:
        all_tags = merge_run_tags(
            job_def=job.source,
            partition_key=partition_key,
            tags=tags,
            asset_selection=list(job.source.asset_selection or ()) or None,
            instance=instance,
            run_config=run_config,
        )
        config = {**QUIET, **(run_config or {})}
        run, events = _execute(instance, job, config, all_tags)
    return _result(run, events)


def _execute(
    instance: SandboxInstance, job: PreparedJob, run_config: Mapping[str, Any], tags: Mapping[str, str]
) -> tuple[DagsterRun, list[DagsterEvent]]:
    """`core_execute_in_process`, from prepared parts."""
    plan, plan_snapshot = job.plan(run_config)
    definition = job.definition
    run = instance.create_run(
        job_name=definition.name,
        run_id=None,
        run_config=run_config,
        status=None,
        tags={**definition.run_tags, **tags},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=plan_snapshot,
        job_snapshot=job.snapshot,
        parent_job_snapshot=job.parent_snapshot,
        asset_selection=definition.asset_selection,
        asset_check_selection=definition.asset_check_selection,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=None,
        job_code_origin=None,
        asset_graph=definition.asset_layer.asset_graph,
    )
    events = ExecuteRunWithPlanIterable(
        execution_plan=plan,
        iterator=job_execution_iterator,
        execution_context_manager=PlanOrchestrationContextManager(
            context_event_generator=orchestration_context_event_generator,
            job=job.job,
            execution_plan=plan,
            dagster_run=run,
            instance=instance,
            run_config=run_config,
            executor_defs=None,
            output_capture=None,
            raise_on_error=False,
        ),
    )
    return run, list(events)


@contextmanager
def _ambient_transaction(database: Database) -> Iterator[None]:
    if database.in_transaction:
        yield
    else:
        with database.transaction():
            yield


def _result(run: DagsterRun, events: list[DagsterEvent]) -> RunResult:
    errors: dict[str, str] = {}
    checks: dict[tuple[str, str], bool] = {}
    for event in events:
        if event.is_step_failure:
            errors[event.step_key or ""] = innermost_message(event.step_failure_data.error)
        elif event.is_run_failure and not errors:
            errors[""] = innermost_message(event.job_failure_data.error) if event.job_failure_data.error else (
                event.message or ""
            )
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            checks[(evaluation.asset_key.to_user_string(), evaluation.check_name)] = evaluation.passed
    success = any(event.is_job_success for event in events)
    return RunResult(run.run_id, success, errors, checks)


def innermost_message(error: SerializableErrorInfo | None) -> str:
    """The message of the exception that began the chain, without its traceback."""
    if error is None:
        return ""
    while error.cause is not None:
        error = error.cause
    return error.message.strip()


_FINGERPRINT = """\
SELECT (SELECT max(id) FROM event_logs),
       (SELECT group_concat(concurrency_key || '=' || "limit") FROM concurrency_limits),
       (SELECT count(*) || '/' || coalesce(max(id), 0) FROM dynamic_partitions),
       (SELECT max(wipe_timestamp) FROM asset_keys)
"""


def fingerprint(instance: SandboxInstance) -> tuple[Any, ...]:
    """Changes whenever any process records an event, wipes an asset, or changes a pool or a dynamic partition."""
    with instance.database.connect() as connection:
        return tuple(connection.exec_driver_sql(_FINGERPRINT).one())
