"""A pipeline that has a bit of everything that a run can record, and its runs in other processes."""

import os
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import dagster as dg

from mario_dagster.runtime import database

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


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.observable_source_asset
    def outside() -> dg.ObserveResult:
        return dg.ObserveResult(data_version=dg.DataVersion("7"))


DEFS = dg.Definitions(
    assets=[landed, table, gate, published, broken, outside],
    asset_checks=[audit, raises],
    jobs=[
        dg.define_asset_job("all_of_it", selection=dg.AssetSelection.all()),
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
