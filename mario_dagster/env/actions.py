"""The twenty actions: what each is called, what it needs, how long it takes on call, and what it does to a sandbox.

In: a `Move`, the sandbox it is played in and the table that is active. Out: an `Outcome`: the text that the player
reads and whether anything was done. A move that cannot be done changes nothing and says what would be right; it never
raises.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from mario_dagster.core.errors import UnknownName
from mario_dagster.core.task import MAX_WORKERS, MIN_WORKERS, Task

if TYPE_CHECKING:
    import pandas as pd

    from mario_dagster.core.task import Table
    from mario_dagster.sandbox.sandbox import Result, Sandbox
    from mario_dagster.tables.repairs import RepairAction

Need = Literal["target_column", "new_name", "column_order"]
Scope = Literal["any", "batches", "derived"]
SAMPLE_ROWS, SAMPLE_TEXT = 5, 120
ERROR_LINES = 10


@dataclass(frozen=True)
class Action:
    """One row of the table of actions.

    Args:
        needs: arguments without which it is invalid.
        minutes: what it would take the person on call; modelled, never measured.
        scope: tasks that have it: any, those with batches and a worker pool, those with derived tables.
    """

    id: int
    name: str
    summary: str
    minutes: float
    needs: tuple[Need, ...] = ()
    scope: Scope = "any"

    def applies_to(self, task: Task) -> bool:
        return {"any": True, "batches": task.pool is not None, "derived": bool(task.derived_tables)}[self.scope]


_COLUMN: tuple[Need, ...] = ("target_column",)
ACTIONS: tuple[Action, ...] = (
    Action(0, "inspect_schema", "schema of the active table against its contract; target_column=<table> switches", 1),
    Action(1, "view_error_log", "newest failed checks and runs", 1),
    Action(2, "sample_data", "first five rows of the active table, as JSON", 1),
    Action(3, "fill_mean", "fill a numeric column's nulls with its mean", 3, _COLUMN),
    Action(4, "fill_median", "fill a numeric column's nulls with its median", 3, _COLUMN),
    Action(5, "fill_forward", "fill a column's nulls from the row before, then from the row after", 3, _COLUMN),
    Action(6, "drop_nulls", "drop the rows whose column is null", 3, _COLUMN),
    Action(7, "cast_to_int", "read a column as whole numbers: marks off, cents converted, sentinels null", 4, _COLUMN),
    Action(8, "cast_to_float", "read a column as numbers: marks off, cents converted, sentinels null", 4, _COLUMN),
    Action(9, "cast_to_string", "normalise a column: blanks, encoding, categories, spellings of moments", 4, _COLUMN),
    Action(10, "remove_duplicates", "keep the first row of each key", 3),
    Action(11, "drop_outliers", "drop the rows whose number is not of this world", 3, _COLUMN),
    Action(12, "rename_column", "rename a column", 2, ("target_column", "new_name")),
    Action(13, "reorder_columns", "put the columns in the order given, a permutation", 2, ("column_order",)),
    Action(14, "validate_schema", "run contract and audit checks of the active table", 5),
    Action(15, "commit_changes", "audit and publish every table, or none; ends the episode", 6),
    Action(16, "scale_recovery_workers_up", "one more slot in the recovery pool", 2, scope="batches"),
    Action(17, "scale_recovery_workers_down", "one slot fewer in the recovery pool", 2, scope="batches"),
    Action(18, "replay_priority_batch", "load the oldest batch that is not loaded", 12, scope="batches"),
    Action(19, "refresh_downstream_assets", "materialise the derived tables", 8, scope="derived"),
)
COMMIT = 15
# They look, and change nothing.
READS = frozenset({0, 1, 2})
REPAIRS = range(3, 14)


@dataclass(frozen=True)
class Move:
    """One action as a player asks for it."""

    action_id: int
    target_column: str | None = None
    new_name: str | None = None
    column_order: tuple[str, ...] | None = None

    @property
    def action(self) -> Action:
        return ACTIONS[self.action_id]

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, JSON-able."""
        fields: dict[str, Any] = {"action_id": self.action_id}
        for name in ("target_column", "new_name"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        if self.column_order is not None:
            fields["column_order"] = list(self.column_order)
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Move:
        order = fields.get("column_order")
        return cls(
            action_id=fields["action_id"],
            target_column=fields.get("target_column"),
            new_name=fields.get("new_name"),
            column_order=None if order is None else tuple(order),
        )


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


def available(task: Task) -> list[int]:
    """Ids of the actions that the task has."""
    return [action.id for action in ACTIONS if action.applies_to(task)]


def perform(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    """Do one move in a sandbox, as one or two tagged Dagster runs, an instance call or a read."""
    from mario_dagster.sandbox.sandbox import InvalidAction
    from mario_dagster.tables.repairs import InvalidRepair

    try:
        _require(move, sandbox.task, sandbox, active_table)
        return _HANDLERS[move.action_id](sandbox, move, active_table, tags)
    except (_Invalid, InvalidRepair, InvalidAction, UnknownName) as refusal:
        return Outcome(f"invalid: {refusal}", "invalid", active_table)


def _require(move: Move, task: Task, sandbox: Sandbox, active_table: str) -> None:
    action = move.action
    if not action.applies_to(task):
        lacks = "batches to load" if action.scope == "batches" else "derived tables"
        raise _Invalid(f"{action.name} needs {lacks}; task '{task.slug}' has none, its actions are {available(task)}")
    for need in action.needs:
        if not getattr(move, need):
            columns = ", ".join(map(str, sandbox.table(active_table).columns))
            raise _Invalid(f"{action.name} needs {need}; the columns of {active_table} are {columns}")


# --- reads ------------------------------------------------------------------------------------------------------------


def _inspect(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    table = sandbox.task.table(move.target_column or active_table)
    return Outcome(schema_text(sandbox.table(table.name), table), "done", table.name)


def _errors(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    lines = sandbox.run_errors(limit=ERROR_LINES)
    return Outcome("\n".join(lines) if lines else "no run or check has failed", "done", active_table)


def _sample(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return Outcome(sample_text(sandbox.table(active_table)), "done", active_table)


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


def sample_text(frame: pd.DataFrame) -> str:
    """The first rows as a JSON list of objects, columns in table order, moments in ISO, nothing as null."""
    rows = [
        {str(name): _plain(value) for name, value in row.items()} for row in frame.head(SAMPLE_ROWS).to_dict("records")
    ]
    return json.dumps(rows, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= SAMPLE_TEXT else f"{value[: SAMPLE_TEXT - 3]}..."
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    # NaT is a datetime whose every comparison is false.
    if isinstance(value, dt.date) and value == value:
        return value.isoformat()
    return None


# --- runs and instance calls ------------------------------------------------------------------------------------------


def _repair(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    from mario_dagster.tables.repairs import Repair

    given = {need: getattr(move, need) for need in move.action.needs}
    repair = Repair(action=cast("RepairAction", move.action.name), **given)
    return _ran(sandbox.repair(active_table, repair, tags), active_table)


def _validate(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.validate(active_table, tags), active_table)


def _commit(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.commit(tags), active_table)


def _scale(by: int) -> Callable[..., Outcome]:
    def scale(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
        level = sandbox.signals().resource_level
        if not MIN_WORKERS <= level + by <= MAX_WORKERS:
            raise _Invalid(f"the pool has {level} of {MIN_WORKERS} to {MAX_WORKERS} slots; it goes no further that way")
        now = sandbox.set_workers(level + by)
        return Outcome(f"pool {sandbox.task.pool} has {now} slot{'' if now == 1 else 's'}", "done", active_table)

    return scale


def _replay(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.replay(tags), active_table)


def _refresh(sandbox: Sandbox, move: Move, active_table: str, tags: Mapping[str, str]) -> Outcome:
    return _ran(sandbox.refresh(tags), active_table)


def _ran(result: Result, active_table: str) -> Outcome:
    if result.ok:
        return Outcome(result.message, "done", active_table)
    return Outcome(f"failed: {result.message}", "failed", active_table)


_HANDLERS: Mapping[int, Callable[[Any, Move, str, Mapping[str, str]], Outcome]] = {
    0: _inspect,
    1: _errors,
    2: _sample,
    **{number: _repair for number in REPAIRS},
    14: _validate,
    COMMIT: _commit,
    16: _scale(+1),
    17: _scale(-1),
    18: _replay,
    19: _refresh,
}
