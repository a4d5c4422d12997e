"""The actions as a person is offered them: what each would touch, and what it has to be told.

In: the table of actions in `core/action.py`, an observation. Out: rows for a list, questions with their choices, and
the `Action` that the answers make. What an action would touch is what the checks say of the columns that it may be
pointed at; whether it is the right one, nobody says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mario_dagster.core.action import (
    ACTIONS,
    SELECT_COLUMN,
    SELECT_ROWS,
    SELECT_VALUE,
    SELECTS,
    Action,
    ActionId,
    ActionSpec,
)

from .session import Seen
from .told import Schema, schema_of

Observation = Mapping[str, Any]
Argument = Literal["target_column", "new_name", "column_order", "select", "value", "confirmed"]
Kind = Literal["one", "text", "order"]

_A = ActionId
NOTHING = "no finding"
YES, NO, OTHER = "yes", "no", "another …"


@dataclass(frozen=True)
class Offer:
    """One action in the list.

    Args:
        touches: the tables, columns and numbers that it would be about.
    """

    spec: ActionSpec
    touches: str


@dataclass(frozen=True)
class Choice:
    """One answer to choose, with what speaks about it."""

    value: str
    note: str = ""


@dataclass(frozen=True)
class Question:
    """What an action still has to be told.

    Args:
        argument: the action's argument that the answer is; `confirmed` is none of them, and NO calls the action off.
        kind: choose one, write a text, or put all choices in order. Choosing `OTHER` is to write a text after all.
        optional: it may go without.
        preset: for an order, the one that the contract has, where it was told.
    """

    argument: Argument
    title: str
    choices: tuple[Choice, ...] = ()
    kind: Kind = "one"
    optional: bool = False
    preset: tuple[str, ...] = ()

    @property
    def written(self) -> Question:
        """The same, to be answered with a text."""
        return replace(self, kind="text")


Answers = Mapping[str, Any]


def offers(seen: Observation) -> tuple[Offer, ...]:
    """The actions that the task has, in the table's order."""
    return tuple(Offer(spec, touches(spec, seen)) for spec in ACTIONS if int(spec.id) in seen["available_actions"])


def action_of(id: ActionId, answers: Answers) -> Action:
    """The action that the answers make."""
    return Action.from_dict({"action_id": int(id), **{name: value for name, value in answers.items() if value}})


# --- what an action would touch ---------------------------------------------------------------------------------------


def touches(spec: ActionSpec, seen: Observation) -> str:
    """In a line, what an action would be about now."""
    said = _SAYS.get(spec.id)
    if said is not None:
        return said(seen)
    columns = concerned(spec.id, seen)
    return "; ".join(f"{name}: {note}" for name, note in columns.items()) or NOTHING


def concerned(id: ActionId, seen: Observation) -> dict[str, str]:
    """Columns of the active table that checks say something about which the action is for, with what they say."""
    found: dict[str, dict[str, int]] = {}
    for failure in seen["check_failures"]:
        column, reason = failure["column"], failure["reason"]
        if failure["table"] != seen["stage"] or reason not in ACTIONS[id].mends or not _fits(id, column, seen):
            continue
        counts = found.setdefault(column or "the table", {})
        # Several checks may count the same cells.
        counts[reason] = max(counts.get(reason, 0), failure["count"])
    return {column: ", ".join(_counted(*each) for each in counts.items()) for column, counts in found.items()}


def _fits(id: ActionId, column: str, seen: Observation) -> bool:
    """Whether an action is for a column of that type, as far as the type was told."""
    types, kinds = ACTIONS[id].types, seen["schema_report"].get(column)
    return not types or kinds is None or kinds["expected"] in types


def _counted(reason: str, count: int) -> str:
    return reason if reason == "wrong_type" else f"{count} {reason}"


def _renames(seen: Observation) -> str:
    hints, missing = seen["column_alias_hints"], seen["missing_expected_columns"]
    hinted = [f"{old} looks like {new}" for old, new in hints.items()]
    lacking = [name for name in missing if name not in hints.values()]
    return "; ".join([*hinted, *([f"missing: {', '.join(lacking)}"] if lacking else [])]) or NOTHING


def _commits(seen: Observation) -> str:
    failing = len(seen["failing_checks"])
    return f"{failing or 'no'} checks would stop it; publishes {', '.join(seen['table_health'])}"


def _workers(seen: Observation) -> str:
    return f"{seen['resource_level']} now, a load takes {seen['required_resource_level']}"


def _replays(seen: Observation) -> str:
    waiting = seen["pending_batches"]
    return f"1 of {waiting} batches that wait ({seen['backlog_rows']} rows)" if waiting else "no batch waits"


def _refreshes(seen: Observation) -> str:
    late = f", {seen['freshness_lag_minutes']:.0f} minutes behind" if seen["freshness_lag_minutes"] else ""
    return f"out of date{late}" if seen["downstream_stale"] else f"not out of date{late}"


_SAYS: Mapping[ActionId, Callable[[Observation], str]] = {
    _A.INSPECT_SCHEMA: lambda seen: f"{seen['stage']}, or another table to work on",
    _A.VIEW_ERROR_LOG: lambda seen: f"{len(seen['recent_errors'])} recent errors",
    _A.SAMPLE_DATA: lambda seen: f"rows of {seen['stage']}",
    _A.RENAME_COLUMN: _renames,
    _A.VALIDATE_SCHEMA: lambda seen: seen["stage"],
    _A.COMMIT_CHANGES: _commits,
    _A.SCALE_RECOVERY_WORKERS_UP: _workers,
    _A.SCALE_RECOVERY_WORKERS_DOWN: _workers,
    _A.REPLAY_PRIORITY_BATCH: _replays,
    _A.REFRESH_DOWNSTREAM_ASSETS: _refreshes,
}


# --- what it has to be told -------------------------------------------------------------------------------------------


def next_question(id: ActionId, answers: Answers, seen: Seen) -> Question | None:
    """What is to be asked before the action can be played, given what was answered; None where nothing is."""
    return next((each for each in _questions(id, answers, seen) if each.argument not in answers), None)


def _questions(id: ActionId, answers: Answers, seen: Seen) -> Iterator[Question]:
    spec, told = ACTIONS[id], seen.observation
    if id == _A.INSPECT_SCHEMA:
        yield Question("target_column", "Which table?", _tables(told))
    elif id == _A.SAMPLE_DATA:
        yield from _sample_questions(answers, told)
    elif id == _A.COMMIT_CHANGES:
        yield _commit_question(told)
    for need in spec.needs:
        if need == "target_column":
            yield Question(need, f"{spec.name}: which column of {told['stage']}?", _columns(id, told))
        elif need == "new_name":
            yield _name_question(str(answers.get("target_column")), told)
        else:
            yield _order_question(told, schema_of(seen.turns, told["stage"]))


def _sample_questions(answers: Answers, told: Observation) -> Iterator[Question]:
    yield Question("select", f"What of {told['stage']}?", tuple(Choice(way) for way in SELECTS))
    way = answers.get("select")
    if way not in SELECT_ROWS:
        optional = way not in SELECT_COLUMN
        yield Question("target_column", f"{way}: of which column?", _columns(_A.SAMPLE_DATA, told), optional=optional)
    if way in SELECT_VALUE:
        yield Question("value", f"Which value of {answers.get('target_column')}, as samples show it?", kind="text")


def _commit_question(told: Observation) -> Question:
    failing = len(told["failing_checks"])
    note = f"{failing} checks fail: nothing would be published" if failing else "no check fails"
    choices = (Choice(NO, "go on"), Choice(YES, note))
    return Question("confirmed", "Publish every table and end the episode?", choices)


def _tables(told: Observation) -> tuple[Choice, ...]:
    """Tables, the one that is active first."""
    failing = {name: sum(each["table"] == name for each in told["check_failures"]) for name in told["table_health"]}
    names = sorted(failing, key=lambda name: name != told["stage"])
    return tuple(Choice(name, f"health {told['table_health'][name]:.2f}, {failing[name]} findings") for name in names)


def _columns(id: ActionId, told: Observation) -> tuple[Choice, ...]:
    """Columns of the active table, those that the checks say something about first."""
    notes = _hints(told) if id == _A.RENAME_COLUMN else concerned(id, told) if ACTIONS[id].mends else _findings(told)
    every = dict.fromkeys(told["observed_columns"])
    return tuple(Choice(name, notes.get(name, "")) for name in sorted(every, key=lambda name: name not in notes))


def _hints(told: Observation) -> dict[str, str]:
    return {old: f"looks like {new}" for old, new in told["column_alias_hints"].items()}


def _findings(told: Observation) -> dict[str, str]:
    here = [each for each in told["check_failures"] if each["table"] == told["stage"] and each["column"]]
    reasons: dict[str, dict[str, None]] = {}
    for each in here:
        reasons.setdefault(each["column"], {})[each["reason"]] = None
    return {column: ", ".join(found) for column, found in reasons.items()}


def _name_question(old: str, told: Observation) -> Question:
    """Names that the contract has and the table lacks, the one that is hinted at first; or any other."""
    missing: Sequence[str] = told["missing_expected_columns"]
    hint = told["column_alias_hints"].get(old)
    names = sorted(missing, key=lambda name: name != hint)
    known = tuple(Choice(name, "by name and values" if name == hint else "missing") for name in names)
    choices = (*known, Choice(OTHER, "write it")) if known else ()
    return Question("new_name", f"What shall {old} be called?", choices, kind="one" if choices else "text")


def _order_question(told: Observation, schema: Schema | None) -> Question:
    """The columns as they stand; those of the contract first and in its order, where an inspection told it."""
    columns: Sequence[str] = told["observed_columns"]
    places = {name: place for place, name in enumerate(schema.order)} if schema else {}
    preset = tuple(sorted(columns, key=lambda name: places.get(name, len(places)))) if places else ()
    choices = tuple(Choice(name) for name in columns)
    return Question("column_order", "In which order?", choices, kind="order", preset=preset)
