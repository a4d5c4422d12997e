"""What a repair did to the cells of a table, in words: how many, and which way it took where there was a choice.

In: the table before the repair and after it, the repair, the contract. Out: one line of bounded length, the same for
the same tables. Nothing is repaired a second time here: the two tables are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mario_dagster.core.action import Action
from mario_dagster.core.formats import CURRENCY_MARKS
from mario_dagster.core.task import Column, Table

from .frames import column_type
from .parsing import CENT_MARK, is_sentinel, parse_timestamps, surroundings, to_array, to_text

EXAMPLES, EXAMPLE_LENGTH, LONGEST = 3, 40, 480
# How amounts are marked that are in the currency of a contract whose description speaks of dollars.
DOLLARS = frozenset({"$", "US$", "USD"})
# `04-12-2024` and the like, with whatever comes after; which number is the month is told by the marks between.
_TWO_WAYS = r"^\s*(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second>\d{1,2})[-/.]\d{4}(?:\D|$)"
_OFFSET = r"(?::\d{2}(?:\.\d+)?|T\d{6})\s*[+-]\d{2}:?\d{2}\s*$"


def what_changed(before: pd.DataFrame, after: pd.DataFrame, repair: Action, table: Table) -> str:
    """What a repair did, such as `quantity: 14 unreadable values became null, e.g. 'n/a', '7 bx'`; empty where its own
    arguments say all there is to say.
    """
    describe = _DESCRIBED.get(repair.name)
    if describe is None:
        return ""
    text = "; ".join(describe(before, after, repair, table))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


# --- casts ------------------------------------------------------------------------------------------------------------


def _cast(before: pd.DataFrame, after: pd.DataFrame, repair: Action, table: Table) -> Iterator[str]:
    name = str(repair.target_column)
    old, new = to_array(before[name]), to_array(after[name])
    parts = [*_nulled(old, new)]
    if column_type(before[name]) == "string":
        column = next((column for column in table.columns if column.name == name), None)
        kind = column_type(after[name])
        if kind in ("int64", "float64"):
            parts += _amounts(old.filter(new.is_valid()), column)
        elif kind in ("date", "timestamp"):
            parts += _moments(old.filter(new.is_valid()), new.drop_null(), kind == "date")
        else:
            parts += _texts(old, new, after[name], column)
    if parts:
        parts[0] = f"{name}: {parts[0]}"
        yield from parts
    else:
        yield (
            f"{name}: no value was lost"
            if column_type(before[name]) != column_type(after[name])
            else (f"{name}: no cell changed")
        )


def _nulled(old: pa.Array, new: pa.Array) -> Iterator[str]:
    """Values that a cast made null: words for "no value", and what it could not read."""
    gone = old.filter(pc.and_(old.is_valid(), new.is_null()))
    if not len(gone):
        return
    texts = to_text(gone)
    blank = is_sentinel(texts)
    for what, lost in (
        ("unreadable value", texts.filter(pc.invert(blank))),
        ("word for no value", texts.filter(blank)),
    ):
        if len(lost):
            plural = what.replace("word", "words") if "word" in what else f"{what}s"
            yield f"{_count(len(lost), what, plural)} became null, e.g. {_examples(lost)}"


def _amounts(texts: pa.Array, column: Column | None) -> Iterator[str]:
    """Which currencies amounts were in, and how many were in cents: taken as they stand, and divided by 100."""
    currencies: dict[str, int] = {}
    cents = 0
    for around, count in surroundings(texts).items():
        cents += count * bool(CENT_MARK.search(around.lower()))
        mark = next((mark for mark in CURRENCY_MARKS if mark.lower() in around.lower()), None)
        if mark is not None:
            currencies[mark] = currencies.get(mark, 0) + count
    if currencies:
        ranked = sorted(currencies.items(), key=lambda pair: (-pair[1], pair[0]))
        marks = ", ".join(f"{mark} {count}" for mark, count in ranked[:EXAMPLES])
        more = f", and {len(ranked) - EXAMPLES} more" if len(ranked) > EXAMPLES else ""
        total = _count(sum(currencies.values()), "amount had a currency mark", "amounts had a currency mark")
        yield f"{total} ({marks}{more}), taken off without converting any"
        foreign = sum(count for mark, count in currencies.items() if mark not in DOLLARS)
        if foreign and column is not None and "dollar" in column.description.lower():
            yield f"{_count(foreign, 'of them is', 'of them are')} not in the contract's dollars"
    if cents:
        yield f"{_count(cents, 'amount', 'amounts')} in cents divided by 100"


def _moments(texts: pa.Array, values: pa.Array, dates: bool) -> Iterator[str]:
    """Which way dates were taken that can be read in two, and what became of offsets from UTC."""
    parts = pc.extract_regex(texts, _TWO_WAYS)
    numbers = [pc.cast(pc.struct_field(parts, name), pa.int64()) for name in ("first", "second")]
    either = pc.and_(*(pc.less_equal(number, 12) for number in numbers))
    either = pc.fill_null(pc.and_(either, pc.not_equal(*numbers)), False)
    dashed = pc.fill_null(pc.equal(pc.struct_field(parts, "mark"), "-"), False)
    for way, chosen in (
        ("between dashes the month came first", pc.and_(either, dashed)),
        ("between slashes or dots the day came first", pc.and_(either, pc.invert(dashed))),
    ):
        ambiguous = texts.filter(chosen)
        if len(ambiguous):
            read = to_text(values.filter(chosen).slice(0, 1))[0].as_py()
            example = f"e.g. {_quoted(ambiguous[0].as_py())} as {read}"
            yield f"{_count(len(ambiguous), 'cell', 'cells')} can be read in two ways: {way}, {example}"
    written = int(pc.sum(pc.match_substring_regex(texts, _OFFSET)).as_py() or 0)
    if written and dates:
        yield f"{_count(written, 'date', 'dates')} with an offset from UTC kept as written"
    elif written:
        yield f"{_count(written, 'time', 'times')} with an offset converted to UTC"


def _texts(old: pa.Array, new: pa.Array, after: pd.Series, column: Column | None) -> Iterator[str]:
    """Texts that were spelt anew, and those that are not what the contract has."""
    changed = pc.fill_null(pc.not_equal(old, new), False)
    count = int(pc.sum(changed).as_py() or 0)
    if count:
        first = [values.filter(changed).slice(0, 1)[0].as_py() for values in (old, new)]
        yield f"{_count(count, 'cell', 'cells')} spelt anew, e.g. {_quoted(first[0])} as {_quoted(first[1])}"
    if column is not None and column.is_time:
        read = pc.and_(to_array(parse_timestamps(after)).is_valid(), old.is_valid())
        yield from _moments(old.filter(read), new.filter(read), column.type == "date")
        unread = new.filter(pc.and_(new.is_valid(), pc.invert(read)))
        yield f"stays text: {_count(len(unread), 'value is', 'values are')} no {column.type}, e.g. {_examples(unread)}"
    elif column is not None and column.categories:
        known = pc.is_in(new, value_set=pa.array(column.categories, pa.string()))
        strange = new.filter(pc.and_(new.is_valid(), pc.invert(known)))
        if len(strange):
            yield f"{_count(len(strange), 'value is', 'values are')} none of its categories, e.g. {_examples(strange)}"


# --- fills, dropped rows ----------------------------------------------------------------------------------------------


def _fill(before: pd.DataFrame, after: pd.DataFrame, repair: Action, table: Table) -> Iterator[str]:
    name = str(repair.target_column)
    filled = to_array(after[name]).filter(to_array(before[name]).is_null()).drop_null()
    if not len(filled):
        yield f"{name}: it had no nulls to fill"
    elif repair.name == "fill_forward":
        neighbours = "the value of the row before, or else of the row after"
        yield f"{name}: {_count(len(filled), 'null', 'nulls')} filled with {neighbours}: {_ranked(filled)}"
    else:
        centre = repair.name.removeprefix("fill_")
        yield f"{name}: {_count(len(filled), 'null', 'nulls')} filled with {filled[0].as_py()}, the {centre}"


def _without_nulls(before: pd.DataFrame, after: pd.DataFrame, repair: Action, table: Table) -> Iterator[str]:
    dropped = len(before) - len(after)
    yield f"dropped {_count(dropped, 'row', 'rows')} without {repair.target_column}"


def _without_outliers(before: pd.DataFrame, after: pd.DataFrame, repair: Action, table: Table) -> Iterator[str]:
    name = str(repair.target_column)
    old, kept = to_array(before[name]), pc.unique(to_array(after[name]))
    # Whether a value is an outlier is a matter of the value alone: none of those dropped is among those kept.
    gone = old.filter(pc.and_(old.is_valid(), pc.invert(pc.is_in(old, value_set=kept))))
    if not len(gone):
        yield f"{name}: no value is outside its range or far from the others"
        return
    rows = _count(len(gone), "row", "rows")
    yield f"dropped {rows} whose {name} is out of range or far from the others: {_ranked(gone)}"


def _without_duplicates(before: pd.DataFrame, after: pd.DataFrame, repair: Action, table: Table) -> Iterator[str]:
    codes = to_array(before[table.key]).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    at = np.arange(len(codes))
    first = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
    known = at[codes >= 0]
    first[codes[known[::-1]]] = known[::-1]
    dropped = known[first[codes[known]] != known]
    if not len(dropped):
        yield f"no {table.key} stands there twice"
        return
    pairs = pa.array(dropped), pa.array(first[codes[dropped]])
    differing = {name: _differ(to_array(before[name]), *pairs) for name in before.columns}
    other = np.logical_or.reduce(list(differing.values()))
    rows, copies = _count(len(dropped), "row", "rows"), len(dropped) - int(other.sum())
    yield f"dropped {rows} whose {table.key} an earlier row has, {copies} of them exact copies"
    if other.any():
        names = [str(name) for name, rows in differing.items() if rows.any()]
        some = ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")
        yield f"of {_count(int(other.sum()), 'that differs', 'that differ')} (in {some}) the first was kept"


def _differ(values: pa.Array, rows: pa.Array, others: pa.Array) -> np.ndarray:
    """Which of some rows have another value than their counterparts; two that are missing are the same."""
    here, there = values.take(rows), values.take(others)
    same = pc.or_(pc.fill_null(pc.equal(here, there), False), pc.and_(here.is_null(), there.is_null()))
    return np.asarray(pc.invert(same).to_numpy(zero_copy_only=False), dtype=bool)


_DESCRIBED: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame, Action, Table], Iterator[str]]] = {
    **dict.fromkeys(("cast_to_int", "cast_to_float", "cast_to_string"), _cast),
    **dict.fromkeys(("fill_mean", "fill_median", "fill_forward"), _fill),
    "drop_nulls": _without_nulls,
    "drop_outliers": _without_outliers,
    "remove_duplicates": _without_duplicates,
}


# --- words ------------------------------------------------------------------------------------------------------------


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _quoted(value: object) -> str:
    """A value in quotes, on one line, of 40 characters at most."""
    text = repr(str(value))
    return text if len(text) <= EXAMPLE_LENGTH else f"{text[: EXAMPLE_LENGTH - 4]}...'"


def _examples(values: pa.Array) -> str:
    """The first three different values, in the order in which they stand."""
    return ", ".join(_quoted(value) for value in pc.unique(values).slice(0, EXAMPLES).to_pylist())


def _ranked(values: pa.Array) -> str:
    """The three most frequent values with how often each stands there; of equals the one that stands there first."""
    counted = [(entry["values"], entry["counts"]) for entry in pc.value_counts(values).to_pylist()]
    ranked = sorted(counted, key=lambda pair: -pair[1])
    shown = ", ".join(f"{_quoted(value)} ({count})" for value, count in ranked[:EXAMPLES])
    return shown + (f" and {len(ranked) - EXAMPLES} more" if len(ranked) > EXAMPLES else "")
