"""What an action does to a sandbox: one or two tagged Dagster runs, an instance call, or a read.

In: an `Action`, the sandbox it is played in and the table that is active. Out: an `Outcome`: the text that the player
reads and whether anything was done. An action that cannot be done changes nothing and says what would be right; it
never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mario_dagster.core.action import REPAIRS, Action, ActionId, available
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.task import MAX_WORKERS, MIN_WORKERS, Task

from .sample import BadSample, sample

if TYPE_CHECKING:
    import pandas as pd

    from mario_dagster.core.task import Table
    from mario_dagster.engine.acts import Result
    from mario_dagster.sandbox.sandbox import Sandbox

ERROR_LINES = 10


@dataclass(frozen=True)
class Outcome:
    """What a move came to.

    Args:
        text: for the player; the same for equal histories.
        status: `done`; `failed` when the Dagster run or its checks failed; `invalid` when it could not be run.
        active_table: the table that is active from here on.
    """

    text: str
    status: Literal["done", "failed", "invalid"]
    active_table: str


class _Invalid(ValueError):
    """A move that cannot be done, with what would be right."""


def perform(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    """Do one move in a sandbox, as one or two tagged Dagster runs, an instance call or a read."""
    from mario_dagster.engine.acts import InvalidAction
    from mario_dagster.tables.repairs import InvalidRepair

    try:
        _require(move, sandbox.task, sandbox, active_table)
        return _HANDLERS[move.id](sandbox, move, active_table, tags)
    except (_Invalid, BadSample, InvalidRepair, InvalidAction, UnknownName) as refusal:
        return Outcome(f"invalid: {refusal}", "invalid", active_table)


def _require(move: Action, task: Task, sandbox: Sandbox, active_table: str) -> None:
    action = move.spec
    if not action.applies_to(task):
        lacks = "batches to load" if action.scope == "batches" else "derived tables"
        raise _Invalid(f"{action.name} needs {lacks}; task '{task.slug}' has none, its actions are {available(task)}")
    if move.id != ActionId.SAMPLE_DATA and (move.select is not None or move.value is not None):
        raise _Invalid(f"select and value are sample_data's; {action.name} takes neither")
    for need in action.needs:
        if not getattr(move, need):
            columns = ", ".join(map(str, sandbox.table(active_table).columns))
            raise _Invalid(f"{action.name} needs {need}; the columns of {active_table} are {columns}")


# --- reads ------------------------------------------------------------------------------------------------------------


def _inspect(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    table = sandbox.task.table(move.target_column or active_table)
    return Outcome(schema_text(sandbox.table(table.name), table), "done", table.name)


def _errors(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    lines = sandbox.run_errors(limit=ERROR_LINES)
    return Outcome("\n".join(lines) if lines else "no run or check has failed", "done", active_table)


def _sample(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return Outcome(sample(sandbox, move, active_table), "done", active_table)


def schema_text(frame: pd.DataFrame, table: Table) -> str:
    """A table's columns in order with their types, each held against the contract; what is missing, in its words."""
    from mario_dagster.tables.frames import column_type

    expected = {column.name: column.type for column in table.columns}
    lines = [f"table {table.name}, {len(frame)} rows, key {table.key}"]
    for name, series in frame.items():
        verdict = f"expected {expected[str(name)]}" if name in expected else "not in the contract"
        lines.append(f"{name}: {column_type(series)}, {verdict}")
    missing = [column for column in table.columns if column.name not in frame.columns]
    lines += [f"{column.name}: missing, expected {column.type}: {column.description}" for column in missing]
    lines.append(f"contract order: {', '.join(expected)}")
    return "\n".join(lines)


# --- runs and instance calls ------------------------------------------------------------------------------------------


def _repair(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.repair(active_table, move, tags), active_table)


def _validate(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.validate(active_table, tags), active_table)


def _commit(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.commit(tags), active_table)


def _scale(by: int) -> Callable[..., Outcome]:
    def scale(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
        level = sandbox.signals().resource_level
        if not MIN_WORKERS <= level + by <= MAX_WORKERS:
            raise _Invalid(f"the pool has {level} of {MIN_WORKERS} to {MAX_WORKERS} slots; it goes no further that way")
        now = sandbox.set_workers(level + by)
        return Outcome(f"pool {sandbox.task.pool} has {now} slot{'' if now == 1 else 's'}", "done", active_table)

    return scale


def _replay(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.replay(tags), active_table)


def _refresh(sandbox: Sandbox, move: Action, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.refresh(tags), active_table)


def _ran(result: Result, active_table: str) -> Outcome:
    if result.ok:
        return Outcome(result.message, "done", active_table)
    return Outcome(f"failed: {result.message}", "failed", active_table)


_HANDLERS: Mapping[ActionId, Callable[[Any, Action, str, Mapping[str, str]], Outcome]] = {
    ActionId.INSPECT_SCHEMA: _inspect,
    ActionId.VIEW_ERROR_LOG: _errors,
    ActionId.SAMPLE_DATA: _sample,
    **dict.fromkeys(REPAIRS, _repair),
    ActionId.VALIDATE_SCHEMA: _validate,
    ActionId.COMMIT_CHANGES: _commit,
    ActionId.SCALE_RECOVERY_WORKERS_UP: _scale(+1),
    ActionId.SCALE_RECOVERY_WORKERS_DOWN: _scale(-1),
    ActionId.REPLAY_PRIORITY_BATCH: _replay,
    ActionId.REFRESH_DOWNSTREAM_ASSETS: _refresh,
}
