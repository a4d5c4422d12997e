"""What must be true of a task's tables, as named facts; each says if it holds and, if not, which rows deny it.

In: a `CheckContext`: stored tables, the landing manifest's numbers, what Dagster calls pending or stale. Never the
truth store. Out: `checks_for(task)`: contract, quality and audit checks, built from the catalogue, which the assets
wrap as Dagster asset checks and the signals evaluate directly. An `evaluate` is pure and never raises: a table or
column that is gone, empty or of the wrong type fails every fact about it, so nothing is passed by taking the check
context away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pyarrow
import pyarrow.compute as pc

from mario_dagster.core.task import Column, Table, Task
from mario_dagster.tables.content_cache import CONTENT_CACHE
from mario_dagster.tables.frames import distinct
from mario_dagster.tables.spec import pipeline_spec

from .contract import amounts, cells, type_of
from .differences import differences
from .outcome import BATCH, CheckContext, Outcome, Scope, lacking, outcome_bytes
from .violation import SHOWN_CASES, Violation, case

Severity = Literal["error", "warn"]
Kind = Literal["contract", "quality", "audit"]
Find = Callable[[CheckContext, Table], "Iterable[Violation] | Outcome"]


@dataclass(frozen=True)
class Check:
    """One fact about a table (`scope` table), or about how tables and feeds fit together (`scope` pipeline).

    Args:
        evaluate: what it finds, summed up; found once for one content.
        find: what it finds with the rows at fault, found anew; nothing for an audit.
    """

    name: str
    table: str
    severity: Severity
    blocking: bool
    kind: Kind
    scope: Scope
    description: str
    evaluate: Callable[[CheckContext], Outcome]
    find: Callable[[CheckContext], Iterable[Violation]]


def checks_for(task: Task) -> tuple[Check, ...]:
    """Every check of a task in a stable order: each table's contract and facts, the pipeline's facts, the audits."""
    return (
        *(check for table in task.tables for check in _table_checks(task, table)),
        *_pipeline_checks(task),
        *(
            _check(
                f"{table.name}_pass_audit",
                table,
                "audit",
                _audit,
                "Counts, sums, first and last keys are as declared, and as the tables beside it add up.",
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
    complete = "No cell is null, or a word for no value where a number, a moment or a category belongs."
    yield _check(f"{names['rows']}_have_no_missing_values", table, "quality", _complete, complete)
    yield _check(f"{table.key}s_are_unique", table, "quality", _unique, f"No {table.key} stands in the table twice.")
    if any(column.is_time for column in table.columns):
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
        same = "Each batch, or feed, has as many distinct keys as its producer declared rows in the landing manifest."
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
    violations = partial(_violations, table, find)
    return Check(name, table.name, "error", True, kind, scope, description, evaluate, violations)


def _violations(table: Table, find: Find, check_context: CheckContext) -> Iterable[Violation]:
    found = find(check_context, table)
    return () if isinstance(found, Outcome) else found


def _evaluate(name: str, table: Table, scope: Scope, find: Find, check_context: CheckContext) -> Outcome:
    """What a check finds; looked for once in each content of what it looks at."""

    def look() -> Outcome:
        found = find(check_context, table)
        return found if isinstance(found, Outcome) else Outcome.of(found, table.name)

    named = check_context.named(table.name, scope)
    try:
        return (
            look()
            if named is None
            else CONTENT_CACHE.get(("outcome", check_context.task.slug, name, named), look, outcome_bytes)
        )
    except Exception as error:  # a check that cannot be made has not been passed
        return Outcome.of([Violation.whole(table.name, "check_error", f"{type(error).__name__}: {error}")])


# --- facts about one table --------------------------------------------------------------------------------------------


def _contract(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    return (
        check_context.report(table.name).violations
        if table.name in check_context.tables
        else lacking(check_context, table)
    )


def _complete(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    return lacking(check_context, table, table.column_names) + _reported(check_context, table, "missing_value")


def _unique(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    return lacking(check_context, table, [table.key]) + _reported(check_context, table, "duplicate_key")


def _canonical(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    return _stored_as(check_context, table, [column for column in table.columns if column.is_time], "not_canonical")


def _plausible(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    """An outlier is mostly one by range; what is out of range and no outlier (an infinity) counts as well."""
    found = _stored_as(check_context, table, amounts(table), "not_a_number")
    if table.name in check_context.tables:
        outliers = check_context.report(table.name).outliers
        told = {violation.column for violation in outliers}
        candidates = {column.name for column in amounts(table)} - told
        ranged = _reported(check_context, table, "out_of_range")
        found += [*outliers, *(violation for violation in ranged if violation.column in candidates)]
    return found


def _reported(check_context: CheckContext, table: Table, reason: str) -> list[Violation]:
    if table.name not in check_context.tables:
        return []
    return [violation for violation in check_context.report(table.name).violations if violation.reason == reason]


def _stored_as(check_context: CheckContext, table: Table, columns: Iterable[Column], reason: str) -> list[Violation]:
    """Columns that lack, or hold cells in another type than their contract's."""
    columns = list(columns)
    found, frame = (
        lacking(check_context, table, [column.name for column in columns]),
        check_context.tables.get(table.name),
    )
    for column in columns:
        if frame is None or column.name not in frame.columns or type_of(frame, column.name) == column.type:
            continue
        values = cells(frame, column.name)
        texts = Violation.rows(column.name, reason, pc.is_valid(values).to_numpy(), values)
        found.append(texts if texts.count else Violation.whole(column.name, "wrong_type", type_of(frame, column.name)))
    return found


# --- facts about the pipeline -----------------------------------------------------------------------------------------


def _exists(check_context: CheckContext, table: Table, column: Column) -> Iterable[Violation]:
    other, _, key = str(column.references).partition(".")
    found = lacking(check_context, table, [column.name], typed=True)
    found += lacking(check_context, check_context.task.table(other), [key], typed=True)
    if found:
        return found
    values, known = (
        cells(check_context.tables[table.name], column.name),
        pc.unique(cells(check_context.tables[other], key)),
    )
    orphans = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=known))).to_numpy()
    return [Violation.rows(column.name, "unknown_reference", orphans, values)] if orphans.any() else []


def _kept(check_context: CheckContext, _: Table) -> Iterable[Violation]:
    """Distinct keys against the rows declared, batch by batch or feed by feed: deleting or making up rows shows here.

    It knows numbers, as whoever has the manifest does, and no single row that is too many.
    """
    for table in check_context.task.tables:
        if table.derived:
            continue
        found = lacking(check_context, table, [table.key, BATCH] if table.batched else [table.key])
        if found:
            yield from found
        elif table.batched:
            yield from _batches_kept(check_context, table)
        elif table.feed is None or table.feed not in check_context.declared:
            yield Violation.whole(table.name, "undeclared_feed", table.feed, table=table.name)
        else:
            held = distinct(cells(check_context.tables[table.name], table.key))
            yield from _compared(table, {table.name: (held, check_context.declared[table.feed])})


def _batches_kept(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    frame = check_context.tables[table.name]
    rows = pyarrow.table({"key": cells(frame, table.key), "batch": cells(frame, BATCH)})
    groups = rows.group_by("batch", use_threads=False).aggregate([("key", "count_distinct"), ([], "count_all")])
    found = {each["batch"]: each for each in groups.to_pylist()}
    strays = {batch: group["count_all"] for batch, group in found.items() if batch not in check_context.landed}
    for batch, size in sorted(strays.items(), key=lambda pair: str(pair[0])):
        reason = "row_of_no_batch" if batch is None else "row_of_unlanded_batch"
        yield Violation.whole(BATCH, reason, f"{batch}: {size} rows", size, table.name)
    held = {
        batch: found[batch]["key_count_distinct"] if batch in found else 0 for batch in sorted(check_context.landed)
    }
    yield from _compared(table, {batch: (number, check_context.landed[batch]) for batch, number in held.items()})


def _compared(table: Table, numbers: Mapping[str, tuple[int, int]]) -> Iterable[Violation]:
    """Distinct keys against declared rows, by batch or table."""
    for reason, sign in (("fewer_than_declared", 1), ("more_than_declared", -1)):
        off = {name: pair for name, pair in numbers.items() if sign * (pair[1] - pair[0]) > 0}
        cases = [
            case(table.key, reason, None, f"{name}: {held} distinct {table.key}, {declared} rows declared")
            for name, (held, declared) in off.items()
        ]
        if off:
            size = sum(abs(declared - held) for held, declared in off.values())
            yield Violation(table.key, reason, size, tuple(cases[:SHOWN_CASES]), table.name)


def _loaded(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    waiting = [case(BATCH, "pending_batch", None, batch) for batch in check_context.pending]
    if waiting:
        yield Violation(BATCH, "pending_batch", len(waiting), tuple(waiting[:SHOWN_CASES]))
    elif not check_context.landed:
        yield Violation.whole(table.name, "no_batch")


def _fresh(check_context: CheckContext, _: Table) -> Iterable[Violation]:
    for table in check_context.task.derived_tables:
        if table.name not in check_context.tables:
            yield Violation.whole(table.name, "missing_table", table=table.name)
        elif table.name in check_context.stale:
            since = f"not computed anew since {', '.join(table.upstream)} or its own code changed"
            yield Violation.whole(table.name, "stale", since, table=table.name)


def _reconciles(check_context: CheckContext, table: Table) -> Iterable[Violation]:
    """The stored rows against what the upstream tables add up to now, key by key."""
    found = lacking(check_context, table, table.column_names, typed=True)
    found += [each for name in table.upstream for each in lacking(check_context, check_context.task.table(name))]
    if found:
        return found
    try:
        right = pipeline_spec(check_context.task).transforms[table.name](
            **{name: check_context.tables[name] for name in table.upstream}
        )
    except Exception as error:  # whoever wrote the transform may raise what they like: the fact is denied
        return [Violation.whole(table.name, "cannot_recompute", str(error))]
    return differences(check_context.tables[table.name], right, table)


# --- audit, words -----------------------------------------------------------------------------------------------------


def _audit(check_context: CheckContext, table: Table) -> Outcome:
    from .audit import audit

    return audit(check_context, table)
