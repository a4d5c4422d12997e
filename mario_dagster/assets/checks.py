"""What must be true of a task's tables, as named facts; each says whether it holds and, if not, which rows deny it.

In: `Evidence`: stored tables, the landing manifest's numbers, what Dagster calls pending or stale. Never the vault. Out:
`checks_for(task)`: contract, quality and audit checks, built from the catalogue, which the assets wrap as Dagster asset
checks and the signals evaluate directly. An `evaluate` is pure and never raises: a table or column that is not there, is
empty or of the wrong type fails the facts about it, so that nothing is passed by taking the evidence away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import pandas as pd
import pyarrow
import pyarrow.compute as pc

from mario_dagster.catalog import Column, Table, Task

from . import transforms
from .contract import (
    Breach,
    Case,
    ContractReport,
    amounts,
    case,
    cells,
    cells_of,
    contract_report,
    first_cases,
    tally,
)
from .frames import column_type

Severity = Literal["error", "warn"]
Kind = Literal["contract", "quality", "audit"]
Scope = Literal["table", "pipeline"]

BATCH = "batch_id"
# Half a cent: sums of cents differ by float noise, never by this much.
CENT = 0.005


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
    def of(cls, breaches: Iterable[Breach]) -> Outcome:
        """Passed when nothing is breached."""
        found = tuple(breaches)
        counts = tally(found)
        return cls(not found, counts, first_cases(found), _in_words(found) if found else "")


@dataclass(frozen=True)
class Evidence:
    """Everything that checks may look at: never the vault.

    Args:
        tables: as stored; a table that was never written is absent.
        landed: batch -> rows its producer declared, for the batches that are materialized.
        pending: batches of the manifest that are not materialized, oldest first.
        stale: derived tables that Dagster calls stale.
        declared: feed without batches -> rows its producer declared.
        reports: contract reports by table, made when first asked for; a caller that has them may hand them in.
    """

    task: Task
    tables: Mapping[str, pd.DataFrame]
    landed: Mapping[str, int]
    pending: tuple[str, ...]
    stale: frozenset[str]
    declared: Mapping[str, int]
    reports: dict[str, ContractReport] = field(default_factory=dict, repr=False, compare=False)

    def report(self, table: str) -> ContractReport:
        if table not in self.reports:
            self.reports[table] = contract_report(self.tables[table], self.task.table(table))
        return self.reports[table]


@dataclass(frozen=True)
class Check:
    """One fact about a table, or about how tables and feeds fit together (`scope` pipeline)."""

    name: str
    table: str
    severity: Severity
    blocking: bool
    kind: Kind
    scope: Scope
    description: str
    evaluate: Callable[[Evidence], Outcome]


@dataclass(frozen=True)
class Facts:
    """How the facts about one table are called; by default after the table."""

    rows: str
    moments: str
    amounts: str
    reconciles: str


_FACTS: Mapping[tuple[str, str], Facts] = {
    ("temporal", "source_orders"): Facts("orders", "event_times", "amounts", ""),
    ("temporal", "catalog"): Facts("products", "catalog_times", "prices", ""),
    ("temporal", "hourly_rollup"): Facts("hours", "hours", "revenues", "rollup_reconciles_with_source"),
}
# What a derived table is recomputed with, from its upstream tables in order.
_TRANSFORMS: Mapping[str, Callable[..., pd.DataFrame]] = {"hourly_rollup": transforms.hourly_rollup}


def checks_for(task: Task) -> tuple[Check, ...]:
    """Every check of a task, in a stable order: by table contract and quality, then the pipeline's, then the audits."""
    found: list[Check] = []
    for table in task.tables:
        found.append(_check(f"{table.name}_meets_its_contract", table, "contract", "table", _contract,
                            f"{table.name} has its contract's columns, order, types, keys, ranges and categories."))  # fmt: skip
        found.extend(_table_facts(task, table))
    found.extend(_pipeline_facts(task))
    for table in task.tables:
        found.append(_check(f"{table.name}_pass_audit", table, "audit", "pipeline", _audit,
                            f"{table.name} passes its Great Expectations suite: counts, sums and cross-table sanity."))  # fmt: skip
    return tuple(found)


def facts_of(task: Task, table: Table) -> Facts:
    name = table.name
    return _FACTS.get((task.slug, name)) or Facts(
        name, f"{name}_times", f"{name}_amounts", f"{name}_reconciles_with_source"
    )


def _check(
    name: str,
    table: Table,
    kind: Kind,
    scope: Scope,
    find: Callable[[Evidence, Table], Iterable[Breach] | Outcome],
    description: str,
) -> Check:
    return Check(name, table.name, "error", True, kind, scope, description, partial(_evaluate, find, table))


def _evaluate(
    find: Callable[[Evidence, Table], Iterable[Breach] | Outcome], table: Table, evidence: Evidence
) -> Outcome:
    try:
        found = find(evidence, table)
        return found if isinstance(found, Outcome) else Outcome.of(found)
    except Exception as error:  # a check that cannot be made has not been passed
        return Outcome.of([Breach.whole(table.name, "check_error", f"{type(error).__name__}: {error}")])


def _table_facts(task: Task, table: Table) -> Iterable[Check]:
    if table.derived:  # what it is computed from says all there is to say
        return
    facts, check = facts_of(task, table), partial(_check, table=table, kind="quality", scope="table")
    yield check(f"{facts.rows}_have_no_missing_values", find=_complete, description=f"No cell of {table.name} is null.")
    yield check(f"{table.key}s_are_unique", find=_unique, description=f"No {table.key} stands in {table.name} twice.")
    if any(column.is_moment for column in table.columns):
        yield check(f"{facts.moments}_are_canonical", find=_canonical,
                    description="Dates and times are stored as such, in UTC, not as text.")  # fmt: skip
    if amounts(table):
        yield check(f"{facts.amounts}_are_plausible", find=_plausible,
                    description="Amounts are numbers, in range, and none is absurdly far from the rest.")  # fmt: skip


def _pipeline_facts(task: Task) -> Iterable[Check]:
    for table in task.tables:
        for column in table.columns:
            if column.references:
                noun = column.name.removesuffix("_id")
                yield _check(f"every_{noun}_exists", table, "quality", "pipeline", partial(_exists, column=column),
                             f"Every {column.name} of {table.name} stands in {column.references}.")  # fmt: skip
    fed = next((table for table in task.tables if not table.derived), None)
    if fed is not None:
        yield _check("no_landed_row_is_lost", fed, "quality", "pipeline", _kept,
                     "The tables hold the rows that the producers declared: none lost, none invented.")  # fmt: skip
    if task.batched_table is not None:
        yield _check("every_batch_is_loaded", task.batched_table, "quality", "pipeline", _loaded,
                     "Every batch that has landed is loaded.")  # fmt: skip
    for table in task.derived_tables:
        if table.name in _TRANSFORMS:
            yield _check(facts_of(task, table).reconciles, table, "quality", "pipeline", _reconciles,
                         f"{table.name} is what {' and '.join(table.upstream)} add up to.")  # fmt: skip
    if task.derived_tables:
        yield _check("derived_tables_are_fresh", task.derived_tables[0], "quality", "pipeline", _fresh,
                     "No derived table is older than what it is computed from.")  # fmt: skip


# --- facts about one table --------------------------------------------------------------------------------------------


def lacking(evidence: Evidence, table: Table, *columns: str, typed: bool = False) -> list[Breach]:
    """Why a fact about these columns cannot hold: the table or a column is missing, empty or (`typed`) of another type."""
    frame = evidence.tables.get(table.name)
    if frame is None:
        return [Breach.whole(table.name, "missing_table", None)]
    found = [Breach.whole(name, "missing_column", None) for name in columns if name not in frame.columns]
    if not len(frame):
        found.append(Breach.whole(table.name, "no_rows", None))
    for name in columns if typed else ():
        if name in frame.columns and (actual := column_type(cells_of(frame, name))) != table.column(name).type:
            found.append(Breach.whole(name, "wrong_type", f"{actual}, not {table.column(name).type}"))
    return found


def _contract(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return lacking(evidence, table)[:1] if table.name not in evidence.tables else evidence.report(table.name).breaches


def _complete(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return lacking(evidence, table, *table.column_names) + _reported(evidence, table, "missing_value")


def _unique(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return lacking(evidence, table, table.key) + _reported(evidence, table, "duplicate_key")


def _canonical(evidence: Evidence, table: Table) -> Iterable[Breach]:
    moments = [column for column in table.columns if column.is_moment]
    return lacking(evidence, table, *(each.name for each in moments)) + _as_text(
        evidence, table, moments, "not_canonical"
    )


def _plausible(evidence: Evidence, table: Table) -> Iterable[Breach]:
    columns = amounts(table)
    names = {column.name for column in columns}
    found = lacking(evidence, table, *names) + _as_text(evidence, table, columns, "not_a_number")
    if table.name in evidence.tables:
        # The outliers of a column include what is out of its range, but for infinities.
        far = [breach for breach in evidence.report(table.name).outliers if breach.column in names]
        seen = {breach.column for breach in far}
        ranged = _reported(evidence, table, "out_of_range")
        found += far + [breach for breach in ranged if breach.column in names - seen]
    return found


def _reported(evidence: Evidence, table: Table, reason: str) -> list[Breach]:
    if table.name not in evidence.tables:
        return []
    return [breach for breach in evidence.report(table.name).breaches if breach.reason == reason]


def _as_text(evidence: Evidence, table: Table, columns: Iterable[Column], reason: str) -> list[Breach]:
    """The cells of columns that are stored in another type than their contract's."""
    found, frame = [], evidence.tables.get(table.name)
    for column in columns:
        if (
            frame is None
            or column.name not in frame.columns
            or column_type(cells_of(frame, column.name)) == column.type
        ):
            continue
        values = cells(frame, column.name)
        found.append(Breach.rows(column.name, reason, pc.is_valid(values).to_numpy(), values))
        if not found[-1].count:
            found[-1] = Breach.whole(
                column.name, "wrong_type", f"{column_type(cells_of(frame, column.name))}, all null"
            )
    return found


# --- facts about the pipeline -----------------------------------------------------------------------------------------


def _exists(evidence: Evidence, table: Table, column: Column) -> Iterable[Breach]:
    parent_name, _, parent_column = str(column.references).partition(".")
    parent = evidence.task.table(parent_name)
    found = lacking(evidence, table, column.name, typed=True) + lacking(evidence, parent, parent_column, typed=True)
    if found:
        return found
    values = cells(evidence.tables[table.name], column.name)
    known = pc.unique(cells(evidence.tables[parent_name], parent_column))
    orphans = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=known, skip_nulls=True))).to_numpy()
    return [Breach.rows(column.name, "unknown_reference", orphans, values)] if orphans.any() else []


def _kept(evidence: Evidence, _: Table) -> Iterable[Breach]:
    """Deleting rows is no repair, nor is making them up: distinct keys a batch (or feed) against the declared rows."""
    found: list[Breach] = []
    for table in evidence.task.tables:
        if table.batched:
            found += _batches_kept(evidence, table)
        elif not table.derived:
            found += _feed_kept(evidence, table)
    return found


def _batches_kept(evidence: Evidence, table: Table) -> Iterable[Breach]:
    found = lacking(evidence, table, table.key, BATCH)
    if found:
        return found
    frame = evidence.tables[table.name]
    rows = pyarrow.table({"key": cells(frame, table.key), "batch": cells(frame, BATCH)})
    groups = rows.group_by("batch", use_threads=False).aggregate([("key", "count_distinct"), ([], "count_all")])
    names, keys, sizes = (groups[name].to_pylist() for name in ("batch", "key_count_distinct", "count_all"))
    held = dict(zip(names, keys, strict=True))
    for batch, declared in sorted(evidence.landed.items()):
        found += _against(batch, held.get(batch, 0), declared)
    for batch, size in sorted(zip(names, sizes, strict=True), key=lambda pair: str(pair[0])):
        if batch is None:
            found.append(Breach.whole(BATCH, "row_of_no_batch", f"{size} rows", size))
        elif batch not in evidence.landed:
            found.append(Breach.whole(BATCH, "row_of_unlanded_batch", f"{batch}: {size} rows", size))
    return found


def _feed_kept(evidence: Evidence, table: Table) -> Iterable[Breach]:
    found = lacking(evidence, table, table.key)
    if found:
        return found
    if table.feed not in evidence.declared:
        return [Breach.whole(table.name, "undeclared_feed", table.feed)]
    held = pc.count_distinct(cells(evidence.tables[table.name], table.key), mode="only_valid").as_py()
    return _against(table.name, held, evidence.declared[table.feed])


def _against(name: str, held: int, declared: int) -> list[Breach]:
    if held == declared:
        return []
    reason = "lost_row" if held < declared else "invented_row"
    return [Breach.whole(name, reason, f"{held} of {declared} declared rows", abs(held - declared))]


def _loaded(evidence: Evidence, table: Table) -> Iterable[Breach]:
    found = [Breach.whole(BATCH, "pending_batch", batch) for batch in evidence.pending]
    if not evidence.landed and not found:
        found.append(Breach.whole(table.name, "no_batch", None))
    return found


def _fresh(evidence: Evidence, _: Table) -> Iterable[Breach]:
    for table in evidence.task.derived_tables:
        if table.name not in evidence.tables:
            yield Breach.whole(table.name, "missing_table", None)
        elif table.name in evidence.stale:
            yield Breach.whole(table.name, "stale", None)


def _reconciles(evidence: Evidence, table: Table) -> Iterable[Breach]:
    """The stored rows against what the upstream tables add up to now, key by key."""
    found = lacking(evidence, table, *table.column_names, typed=True)
    found += [each for name in table.upstream for each in lacking(evidence, evidence.task.table(name))]
    if found:
        return found
    try:
        right = _TRANSFORMS[table.name](*(evidence.tables[name] for name in table.upstream))
    except transforms.TransformError as error:
        return [Breach.whole(table.name, "cannot_recompute", str(error))]
    return _differences(evidence.tables[table.name], right, table)


def _differences(stored: pd.DataFrame, right: pd.DataFrame, table: Table) -> Iterable[Breach]:
    others = [column for column in table.columns if column.name != table.key]
    expected = {record[0]: record[1:] for record in _records(right, table.key, others)}
    cases: dict[tuple[str, str], list[Case]] = {}

    def note(column: str, reason: str, index: int | None, value: object) -> None:
        cases.setdefault((column, reason), []).append(case(column, reason, index, value))

    seen: set[object] = set()
    for index, (key, *values) in enumerate(_records(stored, table.key, others)):
        if key in seen or key not in expected:
            note(table.key, "repeated_row" if key in seen else "unfounded_row", index, key)
            continue
        seen.add(key)
        for column, value, wanted in zip(others, values, expected[key], strict=True):
            if not _agree(value, wanted):
                note(column.name, "wrong_value", index, f"{value}, not {wanted}")
    for key in expected.keys() - seen:
        note(table.key, "missing_row", None, key)
    return [Breach(column, reason, len(found), tuple(found[:20])) for (column, reason), found in sorted(cases.items())]


def _records(frame: pd.DataFrame, key: str, others: Iterable[Column]) -> list[tuple[object, ...]]:
    names = [key, *(column.name for column in others)]
    return list(zip(*(cells(frame, name).to_pylist() for name in names), strict=True))


def _agree(value: object, wanted: object) -> bool:
    if isinstance(value, float) and isinstance(wanted, int | float):
        return abs(value - wanted) < CENT
    return value == wanted


# --- audit, words -----------------------------------------------------------------------------------------------------


def _audit(evidence: Evidence, table: Table) -> Outcome:
    from .audit import audit  # Great Expectations costs seconds to import: only where an audit runs

    return audit(evidence, table)


_WORDS = {"no_rows": "has no rows", "missing_table": "does not exist", "stale": "is older than its inputs"}


def _in_words(breaches: Iterable[Breach]) -> str:
    """`quantity: 4 missing_value; event_ts: 1 wrong_type`, the first few."""
    parts = [
        f"{each.column} {_WORDS[each.reason]}"
        if each.reason in _WORDS
        else f"{each.column}: {each.count} {each.reason}"
        for each in breaches
    ]
    return "; ".join(parts[:5]) + (f"; and {len(parts) - 5} more" if len(parts) > 5 else "")
