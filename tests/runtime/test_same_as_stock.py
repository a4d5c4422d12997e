"""A sandbox's Dagster instance records what stock Dagster records, row by row.

A release of Dagster that writes an event in another way fails here and nowhere else.
"""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.instance import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogRecord
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._record import copy
from dagster._serdes import serialize_value

from mario_dagster.runtime import database, statements, storage
from mario_dagster.runtime import instance as instances
from mario_dagster.runtime.instance import (
    SandboxInstance,
    close_instance,
    open_instance,
    run_job,
)
from mario_dagster.runtime.location import MODULE, job_origin

from .small_pipeline import BAD, JOB, POOL, QUIET, subset


def placed(run: dg.DagsterRun) -> dg.DagsterRun:
    """A run as it is when it is launched from a UI that shows the code location."""
    tags = {**run.tags, "dagster/code_location": MODULE}
    return run._replace(remote_job_origin=job_origin(run.job_name), tags=tags)


class StockInstance(dg.DagsterInstance):
    """Dagster's own storages; only the logging setup that deadlocks between threads is left out."""

    def __init__(self, home: Path):
        home.mkdir()
        runs = SqliteRunStorage.from_local(str(home))
        add = runs.add_run
        runs.add_run = lambda run: add(placed(run))
        super().__init__(
            instance_type=InstanceType.EPHEMERAL,
            local_artifact_storage=LocalArtifactStorage(str(home)),
            run_storage=runs,
            event_storage=ConsolidatedSqliteEventLogStorage(str(home)),
            compute_log_manager=NoOpComputeLogManager(),
            run_coordinator=DefaultRunCoordinator(),
            run_launcher=SyncInMemoryRunLauncher(),
            settings={"telemetry": {"enabled": False}},
        )

    def get_yaml_python_handlers(self) -> list[Any]:
        return []


def history(instance: Any, run: Callable[..., Any]) -> None:
    """A life with everything in it: partitions, a range, a pool, checks that fail and block, errors, observations."""
    instance.add_dynamic_partitions("batches", ["t01", "t02", "t03"])
    instance.event_log_storage.set_concurrency_slots(POOL, 1)
    run("table", {"mario/step": "0"})
    run("landed", {"dagster/partition": "t01"})
    run("table", {"mario/step": "1"}, BAD)
    run("gate published broken", {})
    run("outside", {})


def our_history(instance: SandboxInstance) -> None:
    jobs: dict[str, dg.JobDefinition] = {}

    def run(assets: str, tags: dict[str, str], run_config: dict[str, Any] | None = None) -> None:
        job = jobs.setdefault(assets, subset(*assets.split()))
        run_job(instance, job, tags=tags, run_config=run_config)

    history(instance, run)


def stock_history(instance: StockInstance) -> None:
    def run(assets: str, tags: dict[str, str], run_config: dict[str, Any] | None = None) -> None:
        JOB.execute_in_process(
            run_config={**QUIET, **(run_config or {})},
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in assets.split()],
            tags=tags,
            raise_on_error=False,
        )

    history(instance, run)


TABLES = (
    "event_logs",
    "asset_keys",
    "asset_event_tags",
    "asset_check_executions",
    "dynamic_partitions",
    "concurrency_limits",
    "concurrency_slots",
    "pending_steps",
    "runs",
    "run_tags",
)
NOISE = (
    (r'"pid": \d+|pid: \d+', "PID"),
    (r"\d{10}\.\d+", "0.0"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{6})?", "MOMENT"),
    (r'"duration_ms": [\d.e-]+', '"duration_ms": 0'),
    (r"\b[\d.]+(ms|s)\b", "TIME"),
    (r'"log_key": "\w+"', '"log_key": ""'),
    (r"\b[0-9a-f]{40}\b", "SNAPSHOT"),
)


def dump(databases: list[Path]) -> dict[str, list[list[Any]]]:
    """Every row of every table a run writes, with ids in order of appearance and moments and process ids blanked."""
    names: dict[str, str] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return 0.0
        if not isinstance(value, str):
            return value
        for pattern, replacement in NOISE:
            value = re.sub(pattern, replacement, value)
        uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
        value = re.sub(uuid, lambda match: names.setdefault(match[0], f"id{len(names)}"), value)
        # the stack of a caught exception goes through the caller, which is not the same function
        return re.sub(r'"stack": \[.*?\]', '"stack": []', value)

    found: dict[str, list[list[Any]]] = {}
    for path in databases:
        connection = sqlite3.connect(path)
        present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in TABLES:
            if name in present and name not in found:
                stored = connection.execute(f"SELECT * FROM {name} ORDER BY id").fetchall()
                if stored or len(databases) == 1:
                    found[name] = [[plain(value) for value in row] for row in stored]
        connection.close()
    return found


def snapshots(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Any, Any]:
    """What a run remembers of its job and plan; stock runs in process name a subset of a subset as their parent."""
    job = instance.get_job_snapshot(str(run.job_snapshot_id))
    plan = instance.get_execution_plan_snapshot(str(run.execution_plan_snapshot_id))
    assert plan.job_snapshot_id == run.job_snapshot_id == job.snapshot_id
    assert job.lineage_snapshot is not None
    assert instance.has_job_snapshot(job.lineage_snapshot.parent_snapshot_id)
    return copy(job, lineage_snapshot=None), plan._replace(job_snapshot_id="")


def test_a_life_leaves_the_same_rows_as_in_stock_dagster(home: Path, tmp_path: Path) -> None:
    ours, stock = open_instance(home), StockInstance(tmp_path / "stock")
    our_history(ours)
    stock_history(stock)
    assert [snapshots(ours, run) for run in ours.get_runs()] == [snapshots(stock, run) for run in stock.get_runs()]
    close_instance(ours)
    stock.dispose()
    mine = dump([home / database.DATABASE])
    theirs = dump([tmp_path / "stock" / "event_log.db", tmp_path / "stock" / "runs.db"])
    assert len(mine["event_logs"]) > 80
    for name in TABLES:
        assert mine[name] == theirs.get(name, []), name


def test_events_are_serialized_as_stock_does(instance: SandboxInstance) -> None:
    our_history(instance)
    for run in instance.get_runs():
        for record in instance.get_records_for_run(run.run_id).records:
            text = storage.serialized(record.event_log_entry)
            assert text == serialize_value(record.event_log_entry)
            assert storage._record_text(record.storage_id, text) == serialize_value(
                EventLogRecord(storage_id=record.storage_id, event_log_entry=record.event_log_entry)
            )


def test_statements_fit_the_newest_schema(home: Path) -> None:
    texts = {name: text for name, text in vars(statements).items() if re.match(r"(INSERT|SELECT|[A-Z]+)_", name)}
    connection = sqlite3.connect(home / database.DATABASE)
    checked = 0
    for name, text in texts.items():
        if isinstance(text, str) and re.match(r"(INSERT|SELECT|UPDATE|DELETE) ", text):
            values = dict.fromkeys(re.findall(r":(\w+)", text), "[]")
            connection.execute(f"EXPLAIN {text}", values), name
            checked += 1
    connection.close()
    assert checked == 8


def test_overrides_override_something() -> None:
    new = {"storage_id", "has_room", "_store_asset", "_store_check", "_played", "database", "home"}
    for cls in (
        storage.SandboxEventLogStorage,
        storage.SandboxRunStorage,
        storage.SandboxScheduleStorage,
        instances.SandboxInstance,
    ):
        for name, value in vars(cls).items():
            if callable(value) or isinstance(value, property):
                assert name in new or hasattr(cls.__base__, name), f"{cls.__name__}.{name} overrides nothing now"
