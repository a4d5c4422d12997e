"""What could be done about a failing check, and what was expected instead: for people, who read it beside the failure.

In: why a check fails, the table's contract, hints of names. Out: actions that are worth a look, in their order,
and words. Both are read off the contract and the reason alone, so they are no more than what somebody who knows the
contract would try: whether it is right for the rows at hand is theirs to see.
"""

from __future__ import annotations

from collections.abc import Mapping

from mario_dagster.core.action import ACTIONS, Action, ActionId, ActionSpec
from mario_dagster.core.task import Column, Table, Task


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
    if contract.derived and reason == "repeated_row":
        return (Action(ActionId.REFRESH_DOWNSTREAM_ASSETS),)
    found: list[Action] = []
    for spec in ACTIONS:
        if reason not in spec.mends or not spec.applies_to(task):
            continue
        if spec.id is ActionId.RENAME_COLUMN:
            found += [Action(spec.id, old, new, table=table) for old, new in hints.items() if new == column]
        elif spec.id is ActionId.REORDER_COLUMNS:
            found.append(Action(spec.id, column_order=_in_order(contract, stored), table=table))
        elif not spec.needs:
            found.append(Action(spec.id, table=None if spec.scope != "any" else table))
        elif column in contract.column_names and column in stored and _for(spec, contract.column(column)):
            found.append(Action(spec.id, column, table=table))
    return tuple(found)


def _for(spec: ActionSpec, column: Column) -> bool:
    return not spec.types or column.type in spec.types


def _in_order(contract: Table, stored: tuple[str, ...]) -> tuple[str, ...]:
    """The stored columns as the contract has them, what it does not have last."""
    known = [name for name in contract.column_names if name in stored]
    return (*known, *(name for name in stored if name not in known))


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
