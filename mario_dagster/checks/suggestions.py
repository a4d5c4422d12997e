"""What could be done about a failing check, and what was expected instead: for people, who read it beside the failure.

In: why a check fails, the table's contract, hints of names. Out: actions that are worth a look, the likeliest first,
and words. Both are read off the contract and the reason alone, so they are no more than what somebody who knows the
contract would try: whether it is right for the rows at hand is theirs to see.
"""

from __future__ import annotations

from collections.abc import Mapping

from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.task import Column, Table, Task

_NUMBER = {"int64": ActionId.CAST_TO_INT, "float64": ActionId.CAST_TO_FLOAT}
_TEXT = frozenset({"bad_pattern", "bad_category", "not_canonical"})
_AGAIN = frozenset({"stale", "missing_row", "wrong_value", "unfounded_row", "cannot_recompute"})
_LOAD = frozenset({"pending_batch", "no_batch", "fewer_than_declared"})


def suggestions(
    task: Task, table: str, column: str, reason: str, hints: Mapping[str, str], stored: tuple[str, ...]
) -> tuple[Action, ...]:
    """Actions that may mend one reason for which a check fails; none where only looking at the rows tells.

    Args:
        column: the column at fault; empty where it is the table as a whole.
        hints: column as it is stored -> the contract's column that it probably is.
        stored: the table's columns as they are stored.
    """
    contract = task.table(table)
    if reason in _LOAD:
        return (Action(ActionId.REPLAY_PRIORITY_BATCH),) if task.pool and reason != "fewer_than_declared" else ()
    if reason in _AGAIN or (contract.derived and reason == "repeated_row"):
        return (Action(ActionId.REFRESH_DOWNSTREAM_ASSETS),) if task.derived_tables else ()
    if reason == "missing_column":
        named = [old for old, new in hints.items() if new == column]
        return tuple(Action(ActionId.RENAME_COLUMN, old, column, table=table) for old in named)
    if reason == "unexpected_order":
        return _reordered(contract, stored)
    if reason in ("duplicate_key", "repeated_row"):
        return (Action(ActionId.REMOVE_DUPLICATES, table=table),)
    if column in contract.column_names and column in stored:
        return tuple(Action(action, column, table=table) for action in _of_cells(contract.column(column), reason))
    return ()


def _reordered(contract: Table, stored: tuple[str, ...]) -> tuple[Action, ...]:
    known = [name for name in contract.column_names if name in stored]
    order = (*known, *(name for name in stored if name not in known))
    return (Action(ActionId.REORDER_COLUMNS, column_order=order, table=contract.name),)


def _of_cells(column: Column, reason: str) -> tuple[ActionId, ...]:
    cast = _NUMBER.get(column.type, ActionId.CAST_TO_STRING)
    if reason in ("wrong_type", "not_a_number") or reason in _TEXT:
        return (cast,)
    if reason == "missing_value":
        filled = (ActionId.FILL_MEDIAN, ActionId.FILL_MEAN) if column.is_number else (ActionId.FILL_FORWARD,)
        return (cast, *filled, ActionId.DROP_NULLS)
    if reason in ("outlier", "out_of_range"):
        return (cast, ActionId.DROP_OUTLIERS)
    return ()


def expected(table: Table, column: str, reason: str) -> str:
    """What the contract has in a column, in words; empty where it has nothing to say to the reason."""
    if column not in table.column_names:
        return "no such column" if reason == "missing_column" else ""
    found = table.column(column)
    if reason == "missing_value":
        return f"a value ({found.type})"
    if reason == "duplicate_key":
        return f"each {table.key} once"
    if reason == "unknown_reference":
        return f"a value of {found.references}"
    if reason in ("out_of_range", "outlier"):
        return _range(found)
    if found.categories:
        return f"one of {', '.join(found.categories)}"
    if found.pattern:
        return f"text like {found.pattern}"
    return found.type


def _range(column: Column) -> str:
    if column.minimum is None and column.maximum is None:
        return f"{column.type}, not far from the others"
    low = "" if column.minimum is None else f"from {column.minimum:g} "
    return f"{column.type} {low}{'' if column.maximum is None else f'to {column.maximum:g}'}".strip()
