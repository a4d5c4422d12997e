"""What checks look at and what they find: a `CheckContext` in, an `Outcome` out, of facts and audits alike.

In: stored tables and what is known of their feeds. Out: values; nothing here judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

import pandas as pd

from mario_dagster.core.task import Table, Task

from .contract import ContractReport, contract_report, type_of
from .violation import CASE_BYTES, WHOLE, Case, Violation, first_cases, tally

Scope = Literal["table", "pipeline"]
BATCH = "batch_id"
EXAMPLES, EXAMPLE_LENGTH = 2, 40
# What only counts against what producers declared: no row of it is at fault.
_COUNTED = frozenset({"row_of_no_batch", "row_of_unlanded_batch", "undeclared_feed"})


@dataclass(frozen=True)
class CheckFailure:
    """One reason for which a check fails, in numbers.

    Args:
        table: the table at fault.
        column: its column; empty where the table as a whole is at fault.
        reason: one of `REASONS`, or an expectation's name.
        count: rows, cells or columns at fault, as the check counts them.
    """

    check: str
    table: str
    column: str
    reason: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Args:
        counts: failures by reason, in alphabetical order; empty when passed.
        failures: the first failure cases, JSON-able: `column`, `reason`, `index` (row position or None), `value`.
        detail: one line in words.
        violations: all that it found, without the cases.
    """

    passed: bool
    counts: Mapping[str, int]
    failures: tuple[Case, ...]
    detail: str = ""
    violations: tuple[Violation, ...] = ()

    @classmethod
    def of(cls, violations: Iterable[Violation], table: str = "") -> Outcome:
        """Passed when nothing is breached; `table` is the one that the check stands on, and needs no naming."""
        found = tuple(violations)
        summaries = tuple(replace(violation, cases=(), marked=b"") for violation in found)
        return cls(not found, tally(found), first_cases(found), _in_words(found, table), summaries)

    def failures_of(self, check: str, table: str) -> tuple[CheckFailure, ...]:
        """What was found, as the failures of a check that stands on a table."""
        return tuple(_failure(check, table, violation) for violation in self.violations)


def _failure(check: str, stands_on: str, violation: Violation) -> CheckFailure:
    table = violation.table or stands_on
    column = "" if violation.column in (WHOLE, table) else violation.column
    return CheckFailure(check, table, column, violation.reason, violation.count)


def outcome_bytes(outcome: Outcome) -> int:
    """Roughly what an outcome takes in memory."""
    return CASE_BYTES * (len(outcome.counts) + len(outcome.failures) + len(outcome.violations))


@dataclass(frozen=True)
class CheckContext:
    """Everything that checks may look at: never the truth store.

    Args:
        tables: as stored; a table that was never written is absent. Frames are never changed in place.
        landed: batch -> rows its producer declared, for the batches that are materialized.
        pending: batches of the manifest that are not materialized, oldest first.
        stale: derived tables that Dagster calls stale.
        declared: feed without batches -> rows its producer declared.
        versions: stored table -> its data version, which names its content; what is found in content that has a name
            is found once.
    """

    task: Task
    tables: Mapping[str, pd.DataFrame]
    landed: Mapping[str, int]
    pending: tuple[str, ...]
    stale: frozenset[str]
    declared: Mapping[str, int]
    versions: Mapping[str, str] = field(default_factory=dict)
    reports: dict[str, tuple[pd.DataFrame, ContractReport]] = field(default_factory=dict, repr=False, compare=False)

    def report(self, table: str) -> ContractReport:
        """The contract report of a stored table, made once for the frame that is there."""
        frame = self.tables[table]
        made = self.reports.get(table)
        if made is None or made[0] is not frame:
            made = self.reports[table] = (frame, contract_report(frame, self.task.table(table)))
        return made[1]

    def named(self, table: str, scope: Scope) -> Hashable | None:
        """What names all that a check of a table looks at; None where some of it has no name."""
        names = {name: self.versions.get(name) for name in ([table] if scope == "table" else self.task.table_names)}
        if any(name in self.tables and not version for name, version in names.items()):
            return None
        feeds = (tuple(self.landed.items()), self.pending, tuple(self.declared.items()), self.stale)
        return (tuple(names.items()), () if scope == "table" else feeds)

    @property
    def content(self) -> str:
        """Names all tables and declarations that an audit looks at, by their content; empty where one has no name."""
        versions = [(name, self.versions.get(name, "")) for name in self.task.table_names if name in self.tables]
        if not all(version for _, version in versions):
            return ""
        looked_at = (versions, sorted(self.landed.items()), sorted(self.declared.items()))
        return hashlib.sha256(repr(looked_at).encode()).hexdigest()[:16]


def lacking(
    check_context: CheckContext, table: Table, columns: Iterable[str] = (), typed: bool = False
) -> list[Violation]:
    """Why no fact about these columns can hold: the table or a column is gone, empty or (`typed`) of another type."""
    frame = check_context.tables.get(table.name)
    if frame is None:
        return [Violation.whole(table.name, "missing_table", table=table.name)]
    whole = partial(Violation.whole, table=table.name)
    found = [] if len(frame) else [whole(table.name, "no_rows")]
    found += [whole(str(name), "duplicate_column") for name in frame.columns[frame.columns.duplicated()]]
    for name in columns:
        if name not in frame.columns:
            found.append(whole(name, "missing_column"))
        elif typed and (actual := type_of(frame, name)) != table.column(name).type:
            found.append(whole(name, "wrong_type", f"{actual}, not {table.column(name).type}"))
    return found


def _in_words(violations: Iterable[Violation], table: str) -> str:
    """`quantity: 4 outlier (999999); event_ts: wrong_type (string, not timestamp)`, the first few."""
    parts = []
    for each in violations:
        place = each.column if each.table in ("", table, each.column) else f"{each.table}.{each.column}"
        parts.append(f"{place}: {f'{each.count} ' if each.count > 1 else ''}{each.reason}{_evidence(each)}")
    return "; ".join(parts[:5]) + (f"; and {len(parts) - 5} more" if len(parts) > 5 else "")


def _evidence(violation: Violation) -> str:
    """What a violation looks like, in parentheses: the first two different values, or what there is instead of what."""
    if violation.reason in _COUNTED:
        return ""
    shown: dict[str, None] = {}
    for case in violation.cases:
        if case["value"] is not None:
            cell = case["index"] is not None and violation.reason != "wrong_value"
            of_a_row = cell and isinstance(case["value"], str)
            shown[_short(repr(case["value"]) if of_a_row else str(case["value"]), of_a_row)] = None
    return f" ({', '.join([*shown][:EXAMPLES])}{', ...' if len(shown) > EXAMPLES else ''})" if shown else ""


def _short(text: str, of_a_row: bool) -> str:
    return f"{text[: EXAMPLE_LENGTH - 4]}...'" if of_a_row and len(text) > EXAMPLE_LENGTH else text
