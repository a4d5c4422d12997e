"""A sandbox's Dagster instance at work: runs, transactions and pools, and the home it lives in.

`make test-dagster VERSION=…` runs all of this folder on another release of Dagster.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from mario_dagster.runtime import database
from mario_dagster.runtime import instance as instances
from mario_dagster.runtime.instance import (
    SandboxInstance,
    close_instance,
    open_instance,
    prepared,
    run_job,
)
from mario_dagster.runtime.location import MODULE
from mario_dagster.runtime.queries import fingerprint

from .small_pipeline import (
    BAD,
    BROKEN,
    CHECKED,
    DEFS,
    GATE,
    LANDED,
    POOL,
    TABLE,
    gate,
    in_child,
    landed,
    published,
    rows,
    seen,
    table,
)

PLACE = {"dagster/code_location": MODULE}

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
from mario_dagster.runtime.instance import open_instance, run_job
from tests.runtime.small_pipeline import TABLE
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
