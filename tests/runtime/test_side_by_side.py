"""A sandbox's Dagster instance beside others: stock Dagster on the same home, and many sandboxes in one process."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from mario_dagster.runtime.instance import (
    SandboxInstance,
    close_instance,
    create_home,
    open_instance,
    run_job,
)
from mario_dagster.runtime.queries import fingerprint

from .small_pipeline import BAD, JOB, LANDED, POOL, QUIET, TABLE, in_child, rows, table

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
from tests.runtime.small_pipeline import BAD, JOB, QUIET, landed, table
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
