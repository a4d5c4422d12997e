"""The heuristic player: what a careful engineer's runbook would do, from the observation alone.

In: observations. Out: moves, in the runbook's order: schema first, then load, then rows, then what is derived, then
publish. It knows no alias, no profile and no truth: names come from `column_alias_hints`, types from `schema_report`,
columns at fault from `check_failures`, and what no check can see (garbled letters) from a look at five rows. Incidents
that hide more than that are lost to it, and meant to be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from itertools import cycle
from typing import Any

from mario_dagster.core.action import ActionId

from .base import Action, Observation

INSPECT, VIEW_LOG, SAMPLE = ActionId.INSPECT_SCHEMA, ActionId.VIEW_ERROR_LOG, ActionId.SAMPLE_DATA
FILL_MEDIAN, FILL_FORWARD, DROP_NULLS = ActionId.FILL_MEDIAN, ActionId.FILL_FORWARD, ActionId.DROP_NULLS
CAST_TO_INT, CAST_TO_FLOAT, NORMALISE = ActionId.CAST_TO_INT, ActionId.CAST_TO_FLOAT, ActionId.CAST_TO_STRING
REMOVE_DUPLICATES, DROP_OUTLIERS = ActionId.REMOVE_DUPLICATES, ActionId.DROP_OUTLIERS
RENAME, REORDER, COMMIT = ActionId.RENAME_COLUMN, ActionId.REORDER_COLUMNS, ActionId.COMMIT_CHANGES
WORKERS_UP, WORKERS_DOWN = ActionId.SCALE_RECOVERY_WORKERS_UP, ActionId.SCALE_RECOVERY_WORKERS_DOWN
REPLAY, REFRESH = ActionId.REPLAY_PRIORITY_BATCH, ActionId.REFRESH_DOWNSTREAM_ASSETS

NO_NUMBERS = ("string", "date", "timestamp")
CASTS = {"int64": CAST_TO_INT, "float64": CAST_TO_FLOAT}
# UTF-8 that was read as Windows-1252 or Latin-1: a lead byte's letter followed by a continuation byte's.
GARBLED = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]")
ORDER = re.compile(r"^contract order: (.+)$", re.MULTILINE)
TEXT = re.compile(r"^(\w+): string, expected string$", re.MULTILINE)
EXPECTED = re.compile(r"^(\w+): \w+, expected (\w+)(?:: .+)?$", re.MULTILINE)

# A plan yields moves, is sent what came of each, and returns the newest observation.
Plan = Generator[Action, Observation, Observation]


class HeuristicPolicy:
    """Plays the runbook once, and commits while there is a step left to do it with and nothing is missing."""

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, seed: int) -> None:
        self._plan: Plan | None = None
        # Column -> type that its contract expects, as told so far.
        self._types: dict[str, str] = {}

    def choose(self, observation: Observation) -> Action:
        if observation["time_budget_remaining"] <= 1:
            return Action(SAMPLE if observation["pending_batches"] else COMMIT)
        self._types |= _expected_types(observation)
        try:
            if self._plan is None:
                self._plan = _recovery(observation, self._types)
                return next(self._plan)
            return self._plan.send(observation)
        except StopIteration:
            return Action(COMMIT)


def _recovery(seen: Observation, types: Mapping[str, str]) -> Plan:
    """The whole runbook: every table once, and those that still fail once more."""
    main, *others = [seen["stage"], *(name for name in seen["table_health"] if name != seen["stage"])]
    seen = yield from _shape(seen)
    seen = yield from _load(seen)
    seen = yield from _shape(seen)
    seen = yield from _clean(seen, types)
    for table in others:
        seen = yield from _visit(seen, table, types)
    # What is wrong and not stale was computed wrongly, from inputs that are the same again: once more, then.
    if any(_fails(seen, table) for table in others):
        seen = yield from _refresh(seen, again=True)
    for table in (main, *others):
        seen = yield from _visit(seen, table, types)
    seen = yield from _refresh(seen)
    while seen["resource_level"] > seen["required_resource_level"]:
        seen = yield Action(WORKERS_DOWN)
    return (yield from _hold(seen))


def _hold(seen: Observation) -> Plan:
    """While a batch is pending that no replay could load, nothing may be published: look on, to the end."""
    looks = cycle((SAMPLE, VIEW_LOG))
    while seen["pending_batches"]:
        seen = yield Action(next(looks))
    return seen


def _visit(seen: Observation, table: str, types: Mapping[str, str]) -> Plan:
    """Repair one table if anything is said to be wrong with it; a derived one is computed anew first."""
    if "stale" in {failure["reason"] for failure in _failures(seen, table)}:
        seen = yield from _refresh(seen)
    if not _fails(seen, table):
        return seen
    seen = yield Action(INSPECT, target_column=table)
    seen = yield from _shape(seen)
    return (yield from _clean(seen, types))


def _expected_types(seen: Observation) -> dict[str, str]:
    """Types of the active table's columns by its contract, as far as this observation tells them."""
    told = {column: kinds["expected"] for column, kinds in seen["schema_report"].items()}
    return {**told, **dict(EXPECTED.findall(str(seen["action_result"])))}


def _failures(seen: Observation, table: str) -> list[Mapping[str, Any]]:
    """Why checks fail on a table."""
    return [failure for failure in seen["check_failures"] if failure["table"] == table]


def _fails(seen: Observation, table: str) -> bool:
    """Whether anything is wrong with a table that looking at it may mend: batches that wait are no fault of its."""
    return any(failure["reason"] != "pending_batch" for failure in _failures(seen, table))


def _refresh(seen: Observation, *, again: bool = False) -> Plan:
    if (seen["downstream_stale"] or again) and REFRESH in seen["available_actions"]:
        seen = yield Action(REFRESH)
    return seen


# --- one table's columns ----------------------------------------------------------------------------------------------


def _shape(seen: Observation) -> Plan:
    """Names, types and order of the active table's columns, and the spelling of its texts."""
    inspected = str(seen["action_result"]) if seen["metadata"]["action_id"] == INSPECT else ""
    seen = yield from _rename(seen)
    for column, kinds in dict(seen["schema_report"]).items():
        if kinds["actual"] != "missing":
            seen = yield Action(CASTS.get(kinds["expected"], NORMALISE), target_column=column)
    seen = yield from _normalise(seen, TEXT.findall(inspected))
    if "unexpected_order" in {reason for _, reason in _culprits(seen)}:
        if not inspected:
            seen = yield Action(INSPECT, target_column=seen["stage"])
            inspected = str(seen["action_result"])
        order = _in_contract_order(list(seen["observed_columns"]), inspected)
        if order != tuple(seen["observed_columns"]):
            seen = yield Action(REORDER, column_order=order)
    return seen


def _rename(seen: Observation) -> Plan:
    """Give drifted columns the names that are hinted, each once."""
    tried: set[str] = set()
    while names := [(old, new) for old, new in seen["column_alias_hints"].items() if old not in tried]:
        old, new = names[0]
        tried.add(old)
        seen = yield Action(RENAME, target_column=old, new_name=new)
    return seen


def _normalise(seen: Observation, texts: list[str]) -> Plan:
    """Normalise columns that break a pattern or a category, and of `texts` those that look garbled in a sample."""
    odd = _broken_texts(seen)
    unseen = [column for column in texts if column not in odd]
    if unseen:
        seen = yield Action(SAMPLE)
        odd += [column for column in unseen if _looks_garbled(str(seen["action_result"]), column)]
    for column in odd:
        seen = yield Action(NORMALISE, target_column=column)
    return seen


def _broken_texts(seen: Observation) -> list[str]:
    odd = [column for column, reason in _culprits(seen) if reason in ("bad_pattern", "bad_category")]
    return list(dict.fromkeys(odd))


def _looks_garbled(sample: str, column: str) -> bool:
    """Whether a sampled text has letters that no language writes side by side, or blanks at its ends."""
    try:
        texts = [str(row.get(column)) for row in json.loads(sample)]
    except ValueError:
        return False
    return any(GARBLED.search(text) or text != " ".join(text.split()) for text in texts)


def _in_contract_order(columns: list[str], inspected: str) -> tuple[str, ...]:
    """The table's columns with the contract's first, in its order, as the inspection told it."""
    found = ORDER.search(inspected)
    places = {name: place for place, name in enumerate(found.group(1).split(", "))} if found else {}
    return tuple(sorted(columns, key=lambda name: places.get(name, len(places))))


# --- batches ----------------------------------------------------------------------------------------------------------


def _load(seen: Observation) -> Plan:
    """Enough workers, then every pending batch; stops when a load will not succeed."""
    while seen["pending_batches"]:
        if seen["resource_level"] < seen["required_resource_level"]:
            seen = yield Action(WORKERS_UP)
            continue
        before = seen["pending_batches"]
        seen = yield Action(REPLAY)
        if seen["pending_batches"] >= before:
            break
    return seen


# --- one table's rows -------------------------------------------------------------------------------------------------


def _clean(seen: Observation, types: Mapping[str, str]) -> Plan:
    """Rows of the active table: loaded twice, without a key, absurd, or with a value lost."""
    if seen["duplicate_rate"]:
        seen = yield Action(REMOVE_DUPLICATES)
    tried: set[Action] = set()
    while moves := [move for move in _row_faults(seen, types) if move not in tried]:
        tried.add(moves[0])
        seen = yield moves[0]
    return seen


def _row_faults(seen: Observation, types: Mapping[str, str]) -> Iterator[Action]:
    """What to do about the rows that the checks name: those that name nothing real, then amounts, then gaps."""
    culprits = _culprits(seen)
    lost = [column for column, reason in culprits if reason == "missing_value"] if seen["missing_rate"] else []
    for column in filter(_identifies, lost):
        yield Action(DROP_NULLS, target_column=column)
    for column, reason in culprits:
        if reason in ("outlier", "out_of_range"):
            yield Action(DROP_OUTLIERS, target_column=column)
    for column in lost:
        if not _identifies(column):
            yield Action(FILL_FORWARD if types.get(column) in NO_NUMBERS else FILL_MEDIAN, target_column=column)


def _identifies(column: str) -> bool:
    """Whether a column says which one a row is or is about: never to be made up, so a row without it is none."""
    return column.endswith("_id")


def _culprits(seen: Observation) -> list[tuple[str, str]]:
    """Columns of the active table that checks find something wrong with, each with the reason."""
    found = dict.fromkeys((failure["column"], failure["reason"]) for failure in _failures(seen, seen["stage"]))
    return [(column, reason) for column, reason in found if column in seen["observed_columns"]]
