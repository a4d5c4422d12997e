"""A sandbox's Dagster instance: as stock Dagster records it, atomic, shareable with stock tools, and quick.

The contract half compares with stock Dagster itself, row by row, and pins the source of every stock function that the
sandbox's storages re-state: an upgrade of Dagster that moves any of it fails here and nowhere else.
"""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.execute_in_process import core_execute_in_process
from dagster._core.instance import InstanceType
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogRecord
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._serdes import serialize_value

from mario_dagster.sandbox import storage
from mario_dagster.sandbox.instance import (
    SandboxInstance,
    close_instance,
    create_home,
    open_instance,
    run_job,
)

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
POOL = "workers"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
seen: list[Any] = []


@dg.asset(partitions_def=BATCHES, pool=POOL)
def landed(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    pool = context.instance.event_log_storage.get_concurrency_info(POOL)
    seen.append(sorted(slot.run_id for slot in pool.claimed_slots))
    return dg.MaterializeResult(data_version=dg.DataVersion("-".join(context.partition_keys)))


@dg.asset(
    deps=[dg.AssetDep(landed, partition_mapping=dg.AllPartitionMapping())],
    check_specs=[dg.AssetCheckSpec(name, asset="table") for name in ("is_full", "is_clean", "is_fresh")],
    config_schema={"bad": dg.Field(bool, default_value=False)},
)
def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A table with three checks, one of which fails when told to."""
    bad = context.op_execution_context.op_config["bad"]
    seen.append(bad)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(str(bad)),
        metadata={"dagster/row_count": 3},
        check_results=[
            dg.AssetCheckResult(check_name="is_full", passed=True),
            dg.AssetCheckResult(check_name="is_clean", passed=not bad, metadata={"rows": 2, "why": "née «null»"}),
            dg.AssetCheckResult(check_name="is_fresh", passed=True, severity=dg.AssetCheckSeverity.WARN),
        ],
    )


@dg.asset(deps=[table], code_version="1", check_specs=[dg.AssetCheckSpec("holds", asset="gate", blocking=True)])
def gate() -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="holds", passed=False)])


@dg.asset(deps=[gate], code_version="1")
def published() -> None: ...


@dg.asset
def broken() -> None:
    try:
        raise KeyError("deep")
    except KeyError as error:
        raise ValueError("no column: 'city'") from error


@dg.asset_check(asset=table)
def audit() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=table)
def raises() -> dg.AssetCheckResult:
    raise RuntimeError("cannot tell")


@dg.observable_source_asset
def outside() -> dg.ObserveResult:
    return dg.ObserveResult(data_version=dg.DataVersion("7"))


DEFS = dg.Definitions(
    assets=[landed, table, gate, published, broken, outside],
    asset_checks=[audit, raises],
    jobs=[
        dg.define_asset_job("all_of_it", selection="*"),
        dg.define_asset_job("audits", selection=dg.AssetSelection.checks(audit), tags={"kind": "audit"}),
        dg.define_asset_job("bad_table", selection="table", config={"ops": {"table": {"config": {"bad": True}}}}),
    ],
)
JOB = DEFS.resolve_job_def("all_of_it")


def subset(*names: str) -> dg.JobDefinition:
    return JOB.get_subset(asset_selection={dg.AssetKey(name) for name in names})


LANDED, GATE, BROKEN, CHECKED = subset("landed"), subset("gate", "published"), subset("broken"), subset("table")
TABLE = JOB.get_subset(
    asset_selection={table.key},
    asset_check_selection={dg.AssetCheckKey(table.key, name) for name in ("is_full", "is_clean", "is_fresh")},
)
BAD = {"ops": {"table": {"config": {"bad": True}}}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    create_home(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def instance(home: Path) -> Iterator[SandboxInstance]:
    instance = open_instance(home)
    instance.add_dynamic_partitions("batches", ["t01", "t02", "t03"])
    instance.event_log_storage.set_concurrency_slots(POOL, 2)
    yield instance
    close_instance(instance)


def rows(home: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(home / storage.DATABASE)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def in_child(code: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Python code run in a process of its own, with `home` as its DAGSTER_HOME."""
    root = Path(__file__).parent.parent
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(home), *arguments],
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(root)},
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )


# --- the same as stock ------------------------------------------------------------------------------------------------


class StockInstance(dg.DagsterInstance):
    """Dagster's own storages; only the logging setup that deadlocks between threads is left out."""

    def __init__(self, home: Path):
        home.mkdir()
        super().__init__(
            instance_type=InstanceType.EPHEMERAL,
            local_artifact_storage=LocalArtifactStorage(str(home)),
            run_storage=SqliteRunStorage.from_local(str(home)),
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
    run("landed", {"dagster/partition": "t02"})
    run("table", {"mario/step": "1"}, BAD)
    run("gate published", {})
    run("broken", {})
    run("outside", {})
    run("table", {"mario/step": "3"})


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


def test_a_life_leaves_the_same_rows_as_in_stock_dagster(home: Path, tmp_path: Path) -> None:
    ours, stock = open_instance(home), StockInstance(tmp_path / "stock")
    our_history(ours)
    stock_history(stock)
    close_instance(ours)
    stock.dispose()
    mine = dump([home / storage.DATABASE])
    theirs = dump([tmp_path / "stock" / "event_log.db", tmp_path / "stock" / "runs.db"])
    assert len(mine["event_logs"]) > 100
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


def test_every_read_gives_what_stock_storages_read(instance: SandboxInstance, home: Path) -> None:
    our_history(instance)
    events, stock = instance.event_log_storage, ConsolidatedSqliteEventLogStorage(str(home))
    stock_runs = SqliteRunStorage(instance.database.url)
    keys = [asset.key for asset in (landed, table, gate, published, broken, outside)]
    partitions = ["t01", "t02", "t03", "t04"]
    tagged = ("dagster/data_version",)

    def agree() -> None:
        for chosen in (keys, keys[:1], [dg.AssetKey("nobody")], None):
            assert events.get_asset_records(chosen) == stock.get_asset_records(chosen)
        assert events.get_latest_materialization_events(keys) == stock.get_latest_materialization_events(keys)
        for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION):
            for wanted in (partitions, partitions[1:2], [], None):
                assert events.get_latest_tags_by_partition(
                    landed.key, kind, tagged, wanted
                ) == stock.get_latest_tags_by_partition(landed.key, kind, tagged, wanted)
        assert events.get_materialized_partitions(landed.key) == stock.get_materialized_partitions(landed.key)
        for partition in partitions:
            assert events.has_dynamic_partition("batches", partition) == stock.has_dynamic_partition(
                "batches", partition
            )
        for run_id in [*stock_runs.get_run_ids(), "nobody"]:
            wanted_runs = dg.RunsFilter(run_ids=[run_id])
            assert instance.run_storage.get_run_records(wanted_runs) == stock_runs.get_run_records(wanted_runs)
            assert instance.run_storage.has_run(run_id) == stock_runs.has_run(run_id)
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        assert instance.get_run_records(failed) == stock_runs.get_run_records(failed)
        assert instance.get_run_records() == stock_runs.get_run_records()

    agree()
    events.wipe_asset(landed.key)
    agree()
    run_job(instance, LANDED, tags={}, partition_key="t03")
    agree()


def test_statements_fit_the_newest_schema(home: Path) -> None:
    statements = {name: text for name, text in vars(storage).items() if re.match(r"(INSERT|SELECT|[A-Z]+)_", name)}
    connection = sqlite3.connect(home / storage.DATABASE)
    checked = 0
    for name, text in statements.items():
        if isinstance(text, str) and re.match(r"(INSERT|SELECT|UPDATE|DELETE) ", text):
            values = dict.fromkeys(re.findall(r":(\w+)", text), "[]")
            connection.execute(f"EXPLAIN {text}", values), name
            checked += 1
    connection.close()
    assert checked == 25


# A digest of each stock function whose work is re-stated. Changed by an upgrade? Read the diff, then carry it over.
RESTATED: dict[Callable[..., Any], str] = {
    SqlEventLogStorage.store_event: "",
    SqlEventLogStorage._event_to_row: "",
    SqlEventLogStorage._store_asset_event: "",
    SqlEventLogStorage._get_asset_entry_values: "",
    SqlEventLogStorage._store_asset_event_tags: "",
    SqlEventLogStorage.store_asset_check_event: "",
    SqlEventLogStorage._store_asset_check_evaluation_planned: "",
    SqlEventLogStorage._store_runless_asset_check_evaluation: "",
    SqlEventLogStorage._update_asset_check_evaluation: "",
    SqlEventLogStorage._fetch_raw_asset_rows: "",
    SqlEventLogStorage._get_latest_materialization_records: "",
    SqlEventLogStorage._get_assets_details: "",
    SqlEventLogStorage.get_latest_tags_by_partition: "",
    SqlEventLogStorage._latest_event_ids_by_partition_subquery: "",
    SqlEventLogStorage.has_dynamic_partition: "",
    SqlEventLogStorage.claim_concurrency_slot: "",
    SqlEventLogStorage.has_unassigned_slots: "",
    SqlEventLogStorage.add_pending_step: "",
    SqlEventLogStorage._claim_concurrency_slot: "",
    SqlEventLogStorage.free_concurrency_slot_for_step: "",
    SqlEventLogStorage._free_concurrency_slots: "",
    SqlEventLogStorage._remove_pending_steps: "",
    SqlRunStorage._get_run_insertion_values: "",
    SqlRunStorage._core_add_run: "",
    SqlRunStorage._row_to_run: "",
    SqlRunStorage._get_run_by_id: "",
    SqlRunStorage.get_run_records: "",
    SqlRunStorage.has_execution_plan_snapshot: "",
    RunDomain.ensure_persisted_execution_plan_snapshot: "",
    RunDomain.create_run_for_job: "",
    core_execute_in_process: "",
}
