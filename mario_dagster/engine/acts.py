"""What can be done to a pipeline: each a Dagster run or an instance call, and what came of it in words.

In: a pipeline, how it stands where that matters, tags for the run. Out: a `Result`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster import DagsterRun

from mario_dagster.assets.jobs import GRADE
from mario_dagster.checks.context import Backlog, backlog, pool_slots
from mario_dagster.core.action import Action
from mario_dagster.core.errors import Refused
from mario_dagster.core.task import MAX_WORKERS, MIN_WORKERS, Task
from mario_dagster.runtime.instance import RunResult
from mario_dagster.signals.causes import cause, stopped
from mario_dagster.tables.load import table_name, tried
from mario_dagster.tables.repairs import InvalidRepair, repair_of
from mario_dagster.tables.store import NoTable
from mario_dagster.tables.what_changed import what_changed

from .pipeline import Pipeline, Tags


class InvalidAction(ValueError):
    """An act that makes no sense here and now; nothing has happened."""


@dataclass(frozen=True)
class Result:
    """What came of an act.

    Args:
        ok: the run succeeded.
        message: what happened, in words without ids or times.
        failed_checks: checks that the run evaluated and that failed.
        error: why the run failed, None when it did not.
    """

    ok: bool
    message: str
    run_id: str | None = None
    failed_checks: tuple[str, ...] = ()
    error: str | None = None


def repair(pipeline: Pipeline, table: str, action: Action, tags: Tags) -> Result:
    """Materialize one table with one repair.

    Raises:
        InvalidRepair: it does not fit the table; no run was made.
    """
    task, workspace = pipeline.task, pipeline.workspace
    name = table_name(task, table)
    before = workspace.lake.read(name).frame
    tried(workspace, task, task.table(table), action)
    run = pipeline.run(f"repair_{table}", tags, {"ops": {f"{task.slug}__{table}": {"config": action.to_config()}}})
    if not run.success:
        return _failed(run, f"{action.name} on {table} failed")
    after = workspace.lake.read(name).frame
    rows = f"{len(before)} -> {len(after)} rows" if len(before) != len(after) else f"{len(after)} rows"
    did = what_changed(before, after, action, task.table(table))
    return _done(run, f"{action.name} on {table}: {rows}{did and '; '}{did}")


def repair_asked(task: Task, run: DagsterRun, table: str) -> Mapping[str, Any]:
    """What a run's config asks to be done to a table, as `Action.to_config` writes it; empty where it asks nothing."""
    ops: Any = dict(run.run_config).get("ops") or {}
    config = (ops.get(f"{task.slug}__{table}") or {}).get("config") or {}
    return {name: value for name, value in config.items() if value is not None}


def require_repairs(pipeline: Pipeline, run: DagsterRun) -> None:
    """See that the repairs that a run's config asks for fit the tables as they are.

    Raises:
        Refused: one does not; nothing has happened.
    """
    task = pipeline.task
    for table in task.tables:
        given = repair_asked(task, run, table.name)
        if not given:
            continue
        if "action" not in given:
            raise Refused(f"{', '.join(given)} of {table.name} without an action: which repair is to be made?")
        try:
            tried(pipeline.workspace, task, table, repair_of(given))
        except (InvalidRepair, NoTable) as error:
            raise Refused(f"{table.name}: {error}") from None


def replay(pipeline: Pipeline, state: Backlog, tags: Tags) -> Result:
    """Load the oldest pending batch, then its table; with too few workers the run fails.

    Raises:
        InvalidAction: the task has no batches, or none is left to load.
    """
    task = pipeline.task
    table = task.batched_table
    if table is None:
        raise InvalidAction(f"task '{task.slug}' has no batches to replay")
    if state.pending:
        batch = state.pending[0].batch
        run = pipeline.run("replay", {**tags, "dagster/partition": batch})
    else:
        in_table = pipeline.workspace.lake.provenance(table_name(task, table.name)).loaded
        waiting = [entry.batch for entry in state.loaded if entry.batch not in in_table]
        if not waiting:
            raise InvalidAction("no batch is pending: all that landed is loaded")
        batch = ", ".join(waiting)
        run = pipeline.run(f"repair_{table.name}", tags)
    if not run.success:
        return _failed(run, f"replay of {batch} failed")
    left = len(backlog(pipeline.workspace, pipeline.instance, task).pending)
    return _done(run, f"loaded {batch} into {table.name}: {left} pending")


def refresh(pipeline: Pipeline, tags: Tags) -> Result:
    """Compute the derived tables again.

    Raises:
        InvalidAction: the task has none.
    """
    task = pipeline.task
    if not task.derived_tables:
        raise InvalidAction(f"task '{task.slug}' has no derived tables to refresh")
    names = ", ".join(table.name for table in task.derived_tables)
    run = pipeline.run("refresh", tags)
    return _done(run, f"refreshed {names}") if run.success else _failed(run, f"refresh of {names} failed")


def validate(pipeline: Pipeline, table: str, tags: Tags) -> Result:
    """Judge one table by its gates and its audit; nothing is written but the verdicts."""
    run = pipeline.run(f"validate_{table}", tags)
    failed = failed_checks(run)
    if run.success and not failed:
        return Result(True, f"{table} passes every check", run.run_id)
    return Result(False, stopped(_denied(run)) if failed else str(_error(run)), run.run_id, failed, _error(run))


def commit(pipeline: Pipeline, tags: Tags) -> Result:
    """Judge and audit every table, then publish all of them or none."""
    run = pipeline.run("commit", tags)
    failed = tuple(name for name in failed_checks(run) if name != GRADE)
    if run.success:
        return Result(True, f"published {', '.join(pipeline.task.table_names)}", run.run_id)
    why = stopped(_denied(run)) if failed else _error(run)
    return Result(False, f"not published: {why}", run.run_id, failed, _error(run))


def set_workers(pipeline: Pipeline, level: int) -> int:
    """Give the recovery pool this many slots, 1 to 3; returns what the pool then has.

    Raises:
        InvalidAction: the task has no pool, or the level is out of range.
    """
    task = pipeline.task
    if task.pool is None:
        raise InvalidAction(f"task '{task.slug}' has no recovery workers")
    if not MIN_WORKERS <= level <= MAX_WORKERS:
        raise InvalidAction(f"the pool takes {MIN_WORKERS} to {MAX_WORKERS} workers, not {level}")
    pipeline.instance.event_log_storage.set_concurrency_slots(task.pool, level)
    return pool_slots(pipeline.instance, task.pool)


def failed_checks(run: RunResult) -> tuple[str, ...]:
    """Names of the checks that a run evaluated and that failed, sorted."""
    return tuple(sorted(name for (_, name), passed in run.checks.items() if not passed))


def _done(run: RunResult, message: str) -> Result:
    failed = failed_checks(run)
    verdict = f"failing: {', '.join(failed)}" if failed else "every fact holds"
    return Result(True, f"{message}; {verdict}", run.run_id, failed)


def _failed(run: RunResult, message: str) -> Result:
    return Result(False, f"{message}: {_error(run)}", run.run_id, failed_checks(run), _error(run))


def _error(run: RunResult) -> str | None:
    denied = _denied(run)
    return "; ".join(cause(step, text, denied) for step, text in sorted(run.errors.items())) or None


def _denied(run: RunResult) -> dict[str, list[str]]:
    """Table -> its checks that the run denied, each with what it says of it."""
    denied: dict[str, list[str]] = {}
    for (asset, name), passed in sorted(run.checks.items()):
        if not passed and name != GRADE:
            reason = run.reasons.get((asset, name), "")
            denied.setdefault(asset.rpartition("/")[2], []).append(f"{name} ({reason})" if reason else name)
    return denied
