"""A sandbox's Dagster instance: as stock Dagster records it, atomic, shareable with stock tools, and quick.

The contract half compares with stock Dagster itself, row by row: a release of Dagster that writes an event in another
way fails here and nowhere else. `make test-dagster VERSION=…` runs all of it on another release.
"""

import gc
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
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
    create_home,
    open_instance,
    prepared,
    run_job,
)
from mario_dagster.runtime.location import MODULE, job_origin
from mario_dagster.runtime.queries import fingerprint

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
POOL = "workers"
PLACE = {"dagster/code_location": MODULE}
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
    connection = sqlite3.connect(home / database.DATABASE)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def in_child(code: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Python code run in a process of its own, with `home` as its DAGSTER_HOME."""
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(home), *arguments],
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(root)},
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )


# --- the same as stock ------------------------------------------------------------------------------------------------


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
    new = {"storage_id", "has_room", "_store_asset", "_store_check", "database", "home"}
    for cls in (
        storage.SandboxEventLogStorage,
        storage.SandboxRunStorage,
        storage.SandboxScheduleStorage,
        instances.SandboxInstance,
    ):
        for name, value in vars(cls).items():
            if callable(value) or isinstance(value, property):
                assert name in new or hasattr(cls.__base__, name), f"{cls.__name__}.{name} overrides nothing now"


# --- runs -------------------------------------------------------------------------------------------------------------


def test_checks_that_fail_are_results_and_not_errors(instance: SandboxInstance) -> None:
    result = run_job(instance, TABLE, tags={"mario/step": "4"}, run_config=BAD)
    assert result.success and not result.errors
    assert result.checks == {("table", "is_full"): True, ("table", "is_clean"): False, ("table", "is_fresh"): True}
    run = instance.get_run_by_id(result.run_id)
    assert run is not None and run.tags == {**PLACE, "mario/step": "4"} and run.asset_selection == {table.key}


def test_a_blocking_check_stops_what_is_downstream(instance: SandboxInstance) -> None:
    result = run_job(instance, GATE, tags={})
    assert not result.success
    assert result.checks == {("gate", "holds"): False}
    assert result.errors == {
        "gate": "DagsterAssetCheckFailedError: 1 blocking asset check failed with ERROR severity:\ngate: holds"
    }
    assert instance.get_latest_materialization_event(published.key) is None
    assert instance.get_latest_materialization_event(gate.key) is not None


def test_an_error_is_named_as_it_was_raised(instance: SandboxInstance) -> None:
    result = run_job(instance, BROKEN, tags={})
    assert not result.success and result.errors == {"broken": "ValueError: no column: 'city'"}
    assert run_job(instance, CHECKED, tags={}).errors == {"table_raises": "RuntimeError: cannot tell"}


def test_a_job_keeps_its_own_tags_and_config(instance: SandboxInstance) -> None:
    audits = run_job(instance, DEFS.resolve_job_def("audits"), tags={"mario/step": "1"})
    run = instance.get_run_by_id(audits.run_id)
    assert audits.checks == {("table", "audit"): True}
    assert run is not None and run.tags == {**PLACE, "kind": "audit", "mario/step": "1"}
    assert not run_job(instance, DEFS.resolve_job_def("bad_table"), tags={}).checks["table", "is_clean"]


def test_an_unfit_config_makes_no_run(instance: SandboxInstance) -> None:
    before = fingerprint(instance.database)
    with pytest.raises(dg.DagsterInvalidConfigError):
        run_job(instance, TABLE, tags={}, run_config={"ops": {"table": {"config": {"bad": "maybe"}}}})
    with pytest.raises(dg.DagsterUnknownPartitionError):
        run_job(instance, LANDED, tags={}, partition_key="t99")
    assert fingerprint(instance.database) == before and instance.get_runs_count() == 0


def test_a_prepared_job_hands_on_each_config(instance: SandboxInstance) -> None:
    assert prepared(TABLE) is prepared(TABLE)
    seen.clear()
    for bad in (True, False, True):
        config = {"ops": {"table": {"config": {"bad": bad}}}}
        assert run_job(instance, TABLE, tags={}, run_config=config).checks["table", "is_clean"] is not bad
    assert seen == [True, False, True]


def test_partitions_are_materialized_one_by_one_or_as_a_range(instance: SandboxInstance) -> None:
    assert run_job(instance, LANDED, tags={}, partition_key="t02").success
    assert instance.get_materialized_partitions(landed.key) == {"t02"}
    instance.add_dynamic_partitions("batches", ["t04"])
    assert run_job(instance, LANDED, tags={"dagster/partition": "t04"}).success
    assert instance.get_materialized_partitions(landed.key) == {"t02", "t04"}
    instance.delete_dynamic_partition("batches", "t04")
    assert not instance.has_dynamic_partition("batches", "t04")


def test_a_run_makes_few_statements_through_sqlalchemy(instance: SandboxInstance) -> None:
    """The one guard on speed that does not depend on the machine: stock storages make 62 for this run."""
    run_job(instance, LANDED, tags={}, partition_key="t01")
    run_job(instance, TABLE, tags={})
    compiled: list[str] = []
    sa.event.listen(instance.database.engine, "before_cursor_execute", lambda *event: compiled.append(event[2]))
    run_job(instance, TABLE, tags={}, run_config=BAD)
    assert len(compiled) <= 22, compiled


# --- transactions -----------------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(instance: SandboxInstance) -> None:
    before = fingerprint(instance.database)
    with pytest.raises(ZeroDivisionError), instance.database.transaction():
        result = run_job(instance, TABLE, tags={})
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
        assert instance.has_run(result.run_id)
        raise ZeroDivisionError
    assert fingerprint(instance.database) == before
    assert instance.get_runs_count() == 0 and instance.get_asset_keys() == []
    # What was remembered of the run that never was must not be believed in.
    assert run_job(instance, TABLE, tags={}).success


def test_transactions_do_not_nest(instance: SandboxInstance) -> None:
    with (
        instance.database.transaction(),
        pytest.raises(RuntimeError, match="already open"),
        instance.database.transaction(),
    ):
        pass
    assert not instance.database.in_transaction


def test_a_killed_process_leaves_nothing_of_its_transaction(instance: SandboxInstance, home: Path) -> None:
    child = in_child(
        """
import sys, time
from pathlib import Path
from tests.runtime.test_storage import TABLE, open_instance, run_job
instance = open_instance(Path(sys.argv[1]))
run_job(instance, TABLE, tags={"mario/step": "kept"})
with instance.database.transaction():
    assert run_job(instance, TABLE, tags={"mario/step": "lost"}).success
    print("mid-transaction", flush=True)
    time.sleep(60)
""",
        home,
    )
    assert child.stdout is not None and child.stdout.readline() == "mid-transaction\n"
    events = rows(home, "SELECT count(*) FROM event_logs")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert rows(home, "SELECT count(*) FROM event_logs") == events
    assert [run.tags["mario/step"] for run in instance.get_runs()] == ["kept"]
    assert rows(home, "PRAGMA integrity_check") == [("ok",)]
    assert run_job(instance, TABLE, tags={}).success


def test_others_read_while_a_run_is_under_way(instance: SandboxInstance, home: Path) -> None:
    run_job(instance, TABLE, tags={})
    before = rows(home, "SELECT count(*) FROM event_logs")
    with instance.database.transaction():
        run_job(instance, TABLE, tags={})
        started = time.monotonic()
        reader = f"import sqlite3; print(sqlite3.connect({str(home / database.DATABASE)!r})"
        command = [sys.executable, "-c", f"{reader}.execute('SELECT count(*) FROM event_logs').fetchall())"]
        assert subprocess.check_output(command, text=True).strip() == str(before)
        other = open_instance(home)
        assert other.get_runs_count() == 1
        close_instance(other)
        assert time.monotonic() - started < 10
    assert instance.get_runs_count() == 2


def test_a_home_that_is_closed_can_be_copied(instance: SandboxInstance, home: Path, tmp_path: Path) -> None:
    run_id = run_job(instance, TABLE, tags={}).run_id
    close_instance(instance)
    assert not (home / f"{database.DATABASE}-wal").exists()
    (tmp_path / "copy").mkdir()
    for name in ("dagster.yaml", database.DATABASE):
        (tmp_path / "copy" / name).write_bytes((home / name).read_bytes())
    copied = open_instance(tmp_path / "copy")
    assert copied.has_run(run_id) and run_job(copied, TABLE, tags={}).success
    close_instance(copied)


# --- pools ------------------------------------------------------------------------------------------------------------


def test_a_run_holds_a_slot_of_its_pool_and_gives_it_back(instance: SandboxInstance) -> None:
    seen.clear()
    result = run_job(instance, LANDED, tags={}, partition_key="t01")
    assert seen == [[result.run_id]]
    pool = instance.event_log_storage.get_concurrency_info(POOL)
    assert pool.slot_count == 2 and not pool.claimed_slots and not pool.pending_steps


def test_a_pool_that_others_hold_is_waited_for(instance: SandboxInstance, home: Path) -> None:
    instance.event_log_storage.set_concurrency_slots(POOL, 1)
    other = open_instance(home)
    assert other.event_log_storage.claim_concurrency_slot(POOL, "other-run", "landed").is_claimed
    release = threading.Timer(0.4, other.event_log_storage.free_concurrency_slots_for_run, ["other-run"])
    release.start()
    started = time.monotonic()
    assert run_job(instance, LANDED, tags={}, partition_key="t01").success
    assert time.monotonic() - started > 0.3
    release.join()
    close_instance(other)


@pytest.mark.parametrize("slots", [0, 1])
def test_a_pool_without_room_fails_the_run_and_hangs_nobody(
    instance: SandboxInstance, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    monkeypatch.setattr(instances, "POOL_WAIT_SECONDS", 0.1)
    instance.event_log_storage.set_concurrency_slots(POOL, slots)
    if slots:
        assert instance.event_log_storage.claim_concurrency_slot(POOL, "other-run", "landed").is_claimed
    outside_of_one = run_job(instance, LANDED, tags={}, partition_key="t01")
    with instance.database.transaction():
        inside_of_one = run_job(instance, LANDED, tags={}, partition_key="t01")
    for result in (outside_of_one, inside_of_one):
        held = "held by run other-run" if slots else "none is free"
        assert not result.success
        assert result.errors == {"": f"PoolBusy: pool 'workers' has {slots} slots: {held}"}
    waiting = instance.event_log_storage.get_concurrency_info(POOL).pending_steps
    assert {step.run_id for step in waiting} <= {"other-run"}
    assert instance.get_materialized_partitions(landed.key) == set()


# --- side by side with stock Dagster ----------------------------------------------------------------------------------


def test_stock_commands_change_what_an_open_instance_reads(instance: SandboxInstance, home: Path) -> None:
    before = fingerprint(instance.database)
    command = [str(Path(sys.executable).with_name("dagster")), "instance", "concurrency", "set", POOL, "3"]
    subprocess.run(command, env={**os.environ, "DAGSTER_HOME": str(home)}, check=True, capture_output=True)
    assert instance.event_log_storage.get_concurrency_info(POOL).slot_count == 3
    assert fingerprint(instance.database) != before


def test_a_stock_instance_reads_and_writes_the_same_home(
    instance: SandboxInstance, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_job(instance, TABLE, tags={"mario/step": "1"}, run_config=BAD)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.from_config(str(home)) as stock:
        assert not stock.telemetry_enabled
        assert [run.run_id for run in stock.get_runs()] == [result.run_id]
        assert len(stock.all_logs(result.run_id)) == len(instance.all_logs(result.run_id)) > 15
        key = dg.AssetCheckKey(table.key, "is_clean")
        latest = stock.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert latest.status.value == "FAILED" and latest.run_id == result.run_id
        assert stock.event_log_storage.get_concurrency_info(POOL).slot_count == 2
        theirs = JOB.execute_in_process(
            instance=stock, asset_selection=[table.key], run_config=QUIET, raise_on_error=False
        )
    assert instance.has_run(theirs.run_id)
    assert instance.get_latest_materialization_event(table.key).run_id == theirs.run_id  # type: ignore[union-attr]


def test_a_stock_process_runs_while_ours_does(instance: SandboxInstance, home: Path) -> None:
    child = in_child(
        """
import sys
import dagster as dg
from tests.runtime.test_storage import BAD, JOB, QUIET, landed, table
stock = dg.DagsterInstance.get()
print("ready", flush=True)
for n in range(1):
    assert JOB.execute_in_process(instance=stock, asset_selection=[table.key], run_config=QUIET,
                                  raise_on_error=False).run_id
    assert JOB.execute_in_process(instance=stock, asset_selection=[landed.key], run_config=QUIET,
                                  partition_key="t02").success
print("done", flush=True)
""",
        home,
    )
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    ours = 0
    while child.poll() is None:
        assert run_job(instance, LANDED, tags={}, partition_key="t01").success
        assert run_job(instance, TABLE, tags={}).success
        ours += 2
        time.sleep(0.02)
    assert child.stdout.read() == "done\n" and child.returncode == 0
    child.stdout.close()
    assert instance.get_runs_count() == ours + 2
    assert rows(home, "PRAGMA integrity_check") == [("ok",)]


# --- one process, many sandboxes --------------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    assert not errors, errors


def test_eight_threads_run_eight_sandboxes(tmp_path: Path) -> None:
    def live(number: int) -> None:
        create_home(tmp_path / str(number))
        instance = open_instance(tmp_path / str(number))
        instance.add_dynamic_partitions("batches", ["t01"])
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
        for step in range(2):
            with instance.database.transaction():
                assert run_job(instance, LANDED, tags={}, partition_key="t01").success
                assert run_job(instance, TABLE, tags={"mario/step": str(step)}).success
        assert instance.get_runs_count() == 4
        close_instance(instance)

    in_threads(8, live)


def test_threads_share_one_sandbox(instance: SandboxInstance, home: Path) -> None:
    def live(number: int) -> None:
        mine = instance if number % 2 else open_instance(home)
        for step in range(3):
            assert run_job(mine, TABLE, tags={"mario/step": f"{number}.{step}"}).success
        if mine is not instance:
            close_instance(mine)

    in_threads(4, live)
    assert len({run.tags["mario/step"] for run in instance.get_runs()}) == 12


def test_closing_gives_everything_back(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def live(number: int) -> None:
        create_home(tmp_path / str(number))
        instance = open_instance(tmp_path / str(number))
        run_job(instance, TABLE, tags={})
        with instance.database.transaction():
            instance.get_runs()
        instance.watch_event_logs("nobody", None, print)
        close_instance(instance)

    live(0)
    gc.collect()
    before = descriptors(), threading.active_count()
    for number in range(1, 4):
        live(number)
    gc.collect()
    assert (descriptors(), threading.active_count()) == before


# --- homes ------------------------------------------------------------------------------------------------------------


def test_an_instance_knows_its_home(instance: SandboxInstance, home: Path) -> None:
    assert instance.root_directory == str(home)
    assert instance.storage_id == str(home / database.DATABASE)
    assert instance.get_yaml_python_handlers() == [] and not instance.telemetry_enabled
    current, newest = instance.run_storage.alembic_version() or (None, "")
    assert current == newest


def test_the_fingerprint_changes_with_all_that_can_change(instance: SandboxInstance) -> None:
    def changes(act: Callable[[], Any]) -> Any:
        before = fingerprint(instance.database)
        assert fingerprint(instance.database) == before
        result = act()
        assert fingerprint(instance.database) != before, act
        return result

    first = changes(lambda: run_job(instance, TABLE, tags={})).run_id
    last = changes(lambda: run_job(instance, LANDED, tags={}, partition_key="t01")).run_id
    changes(lambda: instance.event_log_storage.set_concurrency_slots(POOL, 3))
    changes(lambda: instance.add_dynamic_partitions("batches", ["t09"]))
    changes(lambda: instance.delete_dynamic_partition("batches", "t09"))
    changes(lambda: instance.report_runless_asset_event(dg.AssetMaterialization("outside")))
    changes(lambda: instance.wipe_assets([table.key]))
    changes(lambda: instance.delete_run(first))
    changes(lambda: instance.delete_run(last))
