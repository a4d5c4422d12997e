"""What must be true of a task's tables, as named facts; each says if it holds and, if not, which rows deny it.

In: `Evidence`: stored tables, the landing manifest's numbers, what Dagster calls pending or stale. Never the vault.
Out: `checks_for(task)`: contract, quality and audit checks, built from the catalogue, which the assets wrap as Dagster
asset checks and the signals evaluate directly. An `evaluate` is pure and never raises: a table or column that is gone,
empty or of the wrong type fails every fact about it, so nothing is passed by taking the evidence away.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from mario_dagster.core.task import Column, Table, Task
from mario_dagster.tables.content_cache import MEMO
from mario_dagster.tables.frames import distinct
from mario_dagster.tables.spec import blueprint

from .contract import (
    CASE_BYTES,
    SHOWN_CASES,
    Breach,
    Case,
    ContractReport,
    Mask,
    Values,
    amounts,
    case,
    cells,
    contract_report,
    first_cases,
    tally,
    type_of,
)

Severity = Literal["error", "warn"]
Kind = Literal["contract", "quality", "audit"]
Scope = Literal["table", "pipeline"]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

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
        return cls(not found, tally(found), first_cases(found), _in_words(found))


def outcome_bytes(outcome: Outcome) -> int:
    """Roughly what an outcome takes in memory."""
    return CASE_BYTES * (len(outcome.counts) + len(outcome.failures))


@dataclass(frozen=True)
class Evidence:
    """Everything that checks may look at: never the vault.

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


Find = Callable[[Evidence, Table], "Iterable[Breach] | Outcome"]


@dataclass(frozen=True)
class Check:
    """One fact about a table (`scope` table), or about how tables and feeds fit together (`scope` pipeline)."""

    name: str
    table: str
    severity: Severity
    blocking: bool
    kind: Kind
    scope: Scope
    description: str
    evaluate: Callable[[Evidence], Outcome]


def checks_for(task: Task) -> tuple[Check, ...]:
    """Every check of a task in a stable order: each table's contract and facts, the pipeline's facts, the audits."""
    return (
        *(check for table in task.tables for check in _table_checks(task, table)),
        *_pipeline_checks(task),
        *(
            _check(
                f"{table.name}_pass_audit", table, "audit", _audit, "Counts, sums and edges fit the tables beside it."
            )
            for table in task.tables
        ),
    )


def _table_checks(task: Task, table: Table) -> Iterable[Check]:
    names = _names(table)
    contract = "Columns, order, types, keys, ranges, patterns and categories are as the contract has them."
    yield _check(f"{table.name}_meets_its_contract", table, "contract", _contract, contract)
    if table.derived:  # what it is computed from says all else there is to say
        return
    yield _check(f"{names['rows']}_have_no_missing_values", table, "quality", _complete, "No cell is null.")
    yield _check(f"{table.key}s_are_unique", table, "quality", _unique, f"No {table.key} stands in the table twice.")
    if any(column.is_moment for column in table.columns):
        stored = "Dates and times are stored as such, in UTC, not as text."
        yield _check(f"{names['times']}_are_canonical", table, "quality", _canonical, stored)
    if amounts(table):
        sane = "Amounts are numbers, in range, and none is absurdly far from the rest."
        yield _check(f"{names['amounts']}_are_plausible", table, "quality", _plausible, sane)


def _pipeline_checks(task: Task) -> Iterable[Check]:
    wide = partial(_check, kind="quality", scope="pipeline")
    for table in task.tables:
        for column in table.columns:
            if column.references:
                name, find = f"every_{column.name.removesuffix('_id')}_exists", partial(_exists, column=column)
                yield wide(name, table, find=find, description=f"Every {column.name} stands in {column.references}.")
    fed = next((table for table in task.tables if not table.derived), None)
    if fed is not None:
        same = "The tables hold the rows that the producers declared: none is lost, none invented."
        yield wide("no_landed_row_is_lost", fed, find=_kept, description=same)
    if task.batched_table is not None:
        landed = "Every batch that has landed is loaded."
        yield wide("every_batch_is_loaded", task.batched_table, find=_loaded, description=landed)
    for table in task.derived_tables:
        total = " and ".join(table.upstream)
        name = table.words.get("reconciles", f"{table.words.get('whole', table.name)}_reconciles_with_source")
        yield wide(name, table, find=_reconciles, description=f"{table.name} is what {total} add up to.")
    if task.derived_tables:
        newer = "No derived table is older than what it is computed from."
        yield wide("derived_tables_are_fresh", task.derived_tables[0], find=_fresh, description=newer)


def _names(table: Table) -> Mapping[str, str]:
    return {"rows": table.name, "times": f"{table.name}_times", "amounts": f"{table.name}_amounts", **table.words}


def _check(name: str, table: Table, kind: Kind, find: Find, description: str, scope: Scope | None = None) -> Check:
    scope = scope or ("pipeline" if kind == "audit" else "table")
    evaluate = partial(_evaluate, name, table, scope, find)
    return Check(name, table.name, "error", True, kind, scope, description, evaluate)


def _evaluate(name: str, table: Table, scope: Scope, find: Find, evidence: Evidence) -> Outcome:
    """What a check finds; looked for once in each content of what it looks at."""

    def look() -> Outcome:
        found = find(evidence, table)
        return found if isinstance(found, Outcome) else Outcome.of(found)

    named = evidence.named(table.name, scope)
    try:
        return look() if named is None else MEMO.get(("outcome", evidence.task.slug, name, named), look, outcome_bytes)
    except Exception as error:  # a check that cannot be made has not been passed
        return Outcome.of([Breach.whole(table.name, "check_error", f"{type(error).__name__}: {error}")])


# --- facts about one table --------------------------------------------------------------------------------------------


def lacking(evidence: Evidence, table: Table, columns: Iterable[str] = (), typed: bool = False) -> list[Breach]:
    """Why no fact about these columns can hold: the table or a column is gone, empty or (`typed`) of another type."""
    frame = evidence.tables.get(table.name)
    if frame is None:
        return [Breach.whole(table.name, "missing_table")]
    found = [] if len(frame) else [Breach.whole(table.name, "no_rows")]
    found += [Breach.whole(str(name), "duplicate_column") for name in frame.columns[frame.columns.duplicated()]]
    for name in columns:
        if name not in frame.columns:
            found.append(Breach.whole(name, "missing_column"))
        elif typed and (actual := type_of(frame, name)) != table.column(name).type:
            found.append(Breach.whole(name, "wrong_type", f"{actual}, not {table.column(name).type}"))
    return found


def _contract(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return evidence.report(table.name).breaches if table.name in evidence.tables else lacking(evidence, table)


def _complete(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return lacking(evidence, table, table.column_names) + _reported(evidence, table, "missing_value")


def _unique(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return lacking(evidence, table, [table.key]) + _reported(evidence, table, "duplicate_key")


def _canonical(evidence: Evidence, table: Table) -> Iterable[Breach]:
    return _stored_as(evidence, table, [column for column in table.columns if column.is_moment], "not_canonical")


def _plausible(evidence: Evidence, table: Table) -> Iterable[Breach]:
    """An outlier is mostly one by range; what is out of range and no outlier (an infinity) counts as well."""
    found = _stored_as(evidence, table, amounts(table), "not_a_number")
    if table.name in evidence.tables:
        outliers = evidence.report(table.name).outliers
        told = {breach.column for breach in outliers}
        candidates = {column.name for column in amounts(table)} - told
        ranged = _reported(evidence, table, "out_of_range")
        found += [*outliers, *(breach for breach in ranged if breach.column in candidates)]
    return found


def _reported(evidence: Evidence, table: Table, reason: str) -> list[Breach]:
    if table.name not in evidence.tables:
        return []
    return [breach for breach in evidence.report(table.name).breaches if breach.reason == reason]


def _stored_as(evidence: Evidence, table: Table, columns: Iterable[Column], reason: str) -> list[Breach]:
    """Columns that lack, or hold cells in another type than their contract's."""
    columns = list(columns)
    found, frame = lacking(evidence, table, [column.name for column in columns]), evidence.tables.get(table.name)
    for column in columns:
        if frame is None or column.name not in frame.columns or type_of(frame, column.name) == column.type:
            continue
        values = cells(frame, column.name)
        texts = Breach.rows(column.name, reason, pc.is_valid(values).to_numpy(), values)
        found.append(texts if texts.count else Breach.whole(column.name, "wrong_type", type_of(frame, column.name)))
    return found


# --- facts about the pipeline -----------------------------------------------------------------------------------------


def _exists(evidence: Evidence, table: Table, column: Column) -> Iterable[Breach]:
    other, _, key = str(column.references).partition(".")
    found = lacking(evidence, table, [column.name], typed=True)
    found += lacking(evidence, evidence.task.table(other), [key], typed=True)
    if found:
        return found
    values, known = cells(evidence.tables[table.name], column.name), pc.unique(cells(evidence.tables[other], key))
    orphans = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=known))).to_numpy()
    return [Breach.rows(column.name, "unknown_reference", orphans, values)] if orphans.any() else []


def _kept(evidence: Evidence, _: Table) -> Iterable[Breach]:
    """Deleting rows is no repair, nor is making them up: distinct keys against the rows declared, feed by feed."""
    for table in evidence.task.tables:
        if table.derived:
            continue
        found = lacking(evidence, table, [table.key, BATCH] if table.batched else [table.key])
        if found:
            yield from found
        elif table.batched:
            yield from _batches_kept(evidence, table)
        elif table.feed is None or table.feed not in evidence.declared:
            yield Breach.whole(table.name, "undeclared_feed", table.feed)
        else:
            held = distinct(cells(evidence.tables[table.name], table.key))
            yield from _compared(table.key, {table.name: (held, evidence.declared[table.feed])})


def _batches_kept(evidence: Evidence, table: Table) -> Iterable[Breach]:
    frame = evidence.tables[table.name]
    rows = pyarrow.table({"key": cells(frame, table.key), "batch": cells(frame, BATCH)})
    groups = rows.group_by("batch", use_threads=False).aggregate([("key", "count_distinct"), ([], "count_all")])
    found = {each["batch"]: each for each in groups.to_pylist()}
    strays = {batch: group["count_all"] for batch, group in found.items() if batch not in evidence.landed}
    for batch, size in sorted(strays.items(), key=lambda pair: str(pair[0])):
        reason = "row_of_no_batch" if batch is None else "row_of_unlanded_batch"
        yield Breach.whole(BATCH, reason, f"{batch}: {size} rows", size)
    held = {batch: found[batch]["key_count_distinct"] if batch in found else 0 for batch in sorted(evidence.landed)}
    yield from _compared(table.key, {batch: (number, evidence.landed[batch]) for batch, number in held.items()})


def _compared(key: str, numbers: Mapping[str, tuple[int, int]]) -> Iterable[Breach]:
    """Held against declared rows, by batch or table."""
    for reason, sign in (("lost_row", 1), ("invented_row", -1)):
        off = {name: pair for name, pair in numbers.items() if sign * (pair[1] - pair[0]) > 0}
        cases = [
            case(key, reason, None, f"{name}: {held} of {told} declared rows") for name, (held, told) in off.items()
        ]
        if off:
            yield Breach(key, reason, sum(abs(told - held) for held, told in off.values()), tuple(cases[:SHOWN_CASES]))


def _loaded(evidence: Evidence, table: Table) -> Iterable[Breach]:
    waiting = [case(BATCH, "pending_batch", None, batch) for batch in evidence.pending]
    if waiting:
        yield Breach(BATCH, "pending_batch", len(waiting), tuple(waiting[:SHOWN_CASES]))
    elif not evidence.landed:
        yield Breach.whole(table.name, "no_batch")


def _fresh(evidence: Evidence, _: Table) -> Iterable[Breach]:
    for table in evidence.task.derived_tables:
        if table.name not in evidence.tables:
            yield Breach.whole(table.name, "missing_table")
        elif table.name in evidence.stale:
            yield Breach.whole(table.name, "stale")


def _reconciles(evidence: Evidence, table: Table) -> Iterable[Breach]:
    """The stored rows against what the upstream tables add up to now, key by key."""
    found = lacking(evidence, table, table.column_names, typed=True)
    found += [each for name in table.upstream for each in lacking(evidence, evidence.task.table(name))]
    if found:
        return found
    try:
        right = blueprint(evidence.task).transforms[table.name](
            **{name: evidence.tables[name] for name in table.upstream}
        )
    except Exception as error:  # whoever wrote the transform may raise what they like: the fact is denied
        return [Breach.whole(table.name, "cannot_recompute", str(error))]
    return _differences(evidence.tables[table.name], right, table)


def _differences(stored: pd.DataFrame, right: pd.DataFrame, table: Table) -> Iterable[Breach]:
    """Where stored rows are not the right ones: of a key that is stored twice the first row counts, of one that is
    computed twice the last."""
    key = cells(stored, table.key)
    rows, places, lone, missing = _matched(key, cells(right, table.key))
    breaches = [
        Breach.rows(table.key, "repeated_row", lone == _REPEATED, key),
        Breach.rows(table.key, "unfounded_row", lone == _UNFOUNDED, key),
        Breach(table.key, "missing_row", len(missing), _without_row(table.key, "missing_row", missing)),
        *(_wrong_values(name, cells(stored, name), cells(right, name), rows, places) for name in table.column_names),
    ]
    return sorted((each for each in breaches if each.count), key=lambda each: (each.column, each.reason))


_REPEATED, _UNFOUNDED = 1, 2
_NONE: Rows = np.zeros(0, dtype=np.int64)


def _matched(stored: Values, right: Values) -> tuple[Rows, Rows, Rows, Values]:
    """Stored and computed rows of the same key, side by side, and what is left over on either side.

    Returns:
        Stored rows, in order; the computed row of each; for every stored row 0, or why it has none (`_REPEATED`,
        `_UNFOUNDED`); the keys that are computed and not stored, in order.
    """
    if not _comparable(stored, right):
        return _NONE, _NONE, np.full(len(stored), _UNFOUNDED), pc.unique(right)
    if not stored.type.equals(right.type):
        stored, right = stored.cast(pyarrow.float64(), safe=False), right.cast(pyarrow.float64(), safe=False)
    known = right.combine_chunks().dictionary_encode(null_encoding="encode")
    newest = np.zeros(len(known.dictionary), dtype=np.int64)
    newest[known.indices.to_numpy()] = np.arange(len(right))
    place = pc.index_in(stored, value_set=known.dictionary).fill_null(-1).to_numpy()
    founded = np.flatnonzero(place >= 0)
    first = np.full(len(newest), -1, dtype=np.int64)
    first[place[founded[::-1]]] = founded[::-1]
    rows = founded[first[place[founded]] == founded]
    lone = np.where(place >= 0, _REPEATED, _UNFOUNDED)
    lone[rows] = 0
    return rows, newest[place[rows]], lone, known.dictionary.filter(pyarrow.array(first < 0))


def _wrong_values(name: str, stored: Values, right: Values, rows: Rows, places: Rows) -> Breach:
    here, there = (_picked(values, at) for values, at in ((stored, rows), (right, places)))
    wrong = np.flatnonzero(~_agree(here, there))
    shown = [
        case(name, "wrong_value", int(rows[at]), f"{_shown(here[at].as_py())}, not {_shown(there[at].as_py())}")
        for at in wrong[:SHOWN_CASES].tolist()
    ]
    return Breach(name, "wrong_value", len(wrong), tuple(shown))


def _agree(here: Values, there: Values) -> Mask:
    """Which values are the same; amounts that differ by less than half a cent are, and so are two that are missing."""
    both = pc.and_(pc.is_null(here), pc.is_null(there))
    if not _comparable(here, there):
        same = both
    elif pyarrow.types.is_floating(here.type) and pyarrow.types.is_floating(there.type):
        same = pc.or_(both, pc.less(pc.abs(pc.subtract(here, there)), CENT).fill_null(False))
    else:
        same = pc.or_(both, pc.equal(here, there).fill_null(False))
    return np.asarray(same.to_numpy(), dtype=bool)


def _comparable(one: Values, other: Values) -> bool:
    """Whether values of two columns can be equal at all."""
    kinds = (one.type, other.type)
    number = [pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) for kind in kinds]
    return kinds[0].equals(kinds[1]) or all(number)


def _picked(values: Values, rows: Rows) -> Values:
    whole = len(rows) == len(values) and bool((rows == np.arange(len(rows))).all())
    return values if whole else values.take(pyarrow.array(rows))


def _without_row(column: str, reason: str, values: Values | pyarrow.Array) -> tuple[Case, ...]:
    return tuple(case(column, reason, None, value) for value in values.slice(0, SHOWN_CASES).to_pylist())


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


# --- audit, words -----------------------------------------------------------------------------------------------------


def _audit(evidence: Evidence, table: Table) -> Outcome:
    from .audit import audit

    return audit(evidence, table)


def _in_words(breaches: Iterable[Breach]) -> str:
    """`quantity: 4 missing_value; event_ts: wrong_type`, the first few."""
    parts = [f"{each.column}: {f'{each.count} ' if each.count > 1 else ''}{each.reason}" for each in breaches]
    return "; ".join(parts[:5]) + (f"; and {len(parts) - 5} more" if len(parts) > 5 else "")
