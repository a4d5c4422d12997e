"""What checks look at and what they find: a `CheckContext` in, an `Outcome` out, of facts and audits alike.

In: stored tables and what is known of their feeds. Out: values; nothing here judges.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from mario_dagster.core.task import Table, Task

from .contract import CASE_BYTES, Case, ContractReport, Violation, contract_report, first_cases, tally, type_of

Scope = Literal["table", "pipeline"]
BATCH = "batch_id"


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Args:
        counts: failures by reason, in alphabetical order; empty when passed.
        failures: the first failure cases, JSON-able: `column`, `reason`, `index` (row position or None), `value`.
        detail: one line in words.
    """

    passed: bool
    counts: Mapping[str, int]
    failures: tuple[Case, ...]
    detail: str = ""

    @classmethod
    def of(cls, violations: Iterable[Violation]) -> Outcome:
        """Passed when nothing is breached."""
        found = tuple(violations)
        return cls(not found, tally(found), first_cases(found), _in_words(found))


def outcome_bytes(outcome: Outcome) -> int:
    """Roughly what an outcome takes in memory."""
    return CASE_BYTES * (len(outcome.counts) + len(outcome.failures))


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


def lacking(
    check_context: CheckContext, table: Table, columns: Iterable[str] = (), typed: bool = False
) -> list[Violation]:
    """Why no fact about these columns can hold: the table or a column is gone, empty or (`typed`) of another type."""
    frame = check_context.tables.get(table.name)
    if frame is None:
        return [Violation.whole(table.name, "missing_table")]
    found = [] if len(frame) else [Violation.whole(table.name, "no_rows")]
    found += [Violation.whole(str(name), "duplicate_column") for name in frame.columns[frame.columns.duplicated()]]
    for name in columns:
        if name not in frame.columns:
            found.append(Violation.whole(name, "missing_column"))
        elif typed and (actual := type_of(frame, name)) != table.column(name).type:
            found.append(Violation.whole(name, "wrong_type", f"{actual}, not {table.column(name).type}"))
    return found


def _in_words(violations: Iterable[Violation]) -> str:
    """`quantity: 4 missing_value; event_ts: wrong_type`, the first few."""
    parts = [f"{each.column}: {f'{each.count} ' if each.count > 1 else ''}{each.reason}" for each in violations]
    return "; ".join(parts[:5]) + (f"; and {len(parts) - 5} more" if len(parts) > 5 else "")
