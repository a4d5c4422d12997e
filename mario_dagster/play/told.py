"""What a player has been told about tables so far: schemas that were inspected, rows that were sampled.

In: the turns of an episode. Out: the newest schema and sample of a table, each with the step it is of; whatever changed
since is the player's to know. Texts are read back as any player reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mario_dagster.core.action import ActionId

from .session import Turn

HEAD = re.compile(r"^table (?P<table>.+), (?P<rows>\d+) rows, key (?P<key>.+)$")
COLUMN = re.compile(r"^(?P<name>.+): (?P<stored>\w+), (?:expected (?P<expected>\w+)|not in the contract)(?:: .*)?$")
ORDER = "contract order: "
MISSING = "missing"


@dataclass(frozen=True)
class Schema:
    """A table as an inspection told it.

    Args:
        columns: name -> type as stored (`missing` where it is not) and as expected (empty outside the contract).
        order: the contract's columns in its order.
    """

    step: int
    rows: int
    key: str
    columns: Mapping[str, tuple[str, str]]
    order: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Rows of a table, or values of a column, as a sample showed them.

    Args:
        title: how they were chosen, and of how many.
        why: row by row, why it breaks checks, where that was asked for.
    """

    step: int
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    why: tuple[str, ...] = ()


def schema_of(turns: Sequence[Turn], table: str) -> Schema | None:
    """The newest inspection of a table."""
    for turn in reversed(turns):
        if _played(turn, ActionId.INSPECT_SCHEMA) and turn.table == table and (found := _schema(turn)):
            return found
    return None


def sample_of(turns: Sequence[Turn], table: str) -> Sample | None:
    """The newest sample of a table."""
    for turn in reversed(turns):
        if _played(turn, ActionId.SAMPLE_DATA) and turn.table == table and (found := _sample(turn)):
            return found
    return None


def offenders_of(turns: Sequence[Turn], table: str, column: str) -> Sample | None:
    """The newest sample of a table's rows at fault that has those of a column."""
    for turn in reversed(turns):
        action = turn.action
        if action is None or action.select != "offenders" or turn.table != table:
            continue
        if action.target_column in (None, column) and (found := _sample(turn)):
            return found
    return None


def _played(turn: Turn, id: ActionId) -> bool:
    return turn.action is not None and turn.action.id == id


def _schema(turn: Turn) -> Schema | None:
    first, *lines = turn.result.split("\n")
    head = HEAD.match(first)
    if head is None:
        return None
    found = [COLUMN.match(line) for line in lines]
    columns = {each["name"]: (each["stored"], each["expected"] or "") for each in found if each}
    order = next((line.removeprefix(ORDER) for line in lines if line.startswith(ORDER)), "")
    return Schema(turn.step, int(head["rows"]), head["key"], columns, tuple(order.split(", ")) if order else ())


def _sample(turn: Turn) -> Sample | None:
    try:
        told = json.loads(turn.result)
    except ValueError:
        return None
    if isinstance(told, list):
        return Sample(turn.step, f"first {len(told)} rows", *_grid(told))
    if "values" in told:
        rows = tuple((each["value"], each["count"]) for each in told["values"])
        title = f"values of {told['column']}: {len(rows)} of {told['distinct']}"
        return Sample(turn.step, title, (told["column"], "count"), rows)
    columns, rows = _grid([each["values"] for each in told["rows"]])
    chosen = " ".join(str(told[name]) for name in ("select", "column", "value") if name in told)
    why = tuple("; ".join(each.get("why", ())) for each in told["rows"])
    return Sample(turn.step, f"{chosen}: {len(rows)} of {told['matching']} rows", columns, rows, why)


def _grid(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    every = list(rows)
    columns = tuple(dict.fromkeys(name for row in every for name in row))
    return columns, tuple(tuple(row.get(name) for name in columns) for row in every)
