"""Large tables are looked at by column and each text once; what comes of it is what a look at row after row finds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mario_dagster.checks.audit import _suite
from mario_dagster.checks.contract import _misfits
from mario_dagster.checks.differences import differences
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.checks.violation import SHOWN_CASES, case
from mario_dagster.core.registry import task
from mario_dagster.core.task import Column, Table
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.inject.redelivery import reference
from mario_dagster.tables.frames import ARROW, content_hash
from mario_dagster.tables.parsing import read_numbers, read_timestamps
from mario_dagster.tasks.referential.task import EMAIL
from mario_dagster.tasks.temporal.task import READABLE

TOTALS = Table(
    "totals",
    (
        Column("key", "int64"),
        Column("amount", "float64"),
        Column("words", "string"),
        Column("day", "date"),
        Column("moment", "timestamp"),
    ),
    "key",
)


def some(rng: np.random.Generator, rows: int, keys: int) -> pd.DataFrame:
    """Random rows of `TOTALS`, with keys that repeat, values that are missing, and cents that hardly differ."""

    def column(name: str, values: Iterable[Any]) -> pd.Series:
        kind = ARROW[TOTALS.column(name).type]
        holed = [None if rng.random() < 0.1 else value for value in values]
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(holed).cast(kind.pyarrow_dtype)), dtype=kind)

    days = [int(day) for day in rng.integers(2, size=rows)]
    return pd.DataFrame(
        {
            "words": column("words", [f"w{day}" * 30 for day in days]),
            "key": column("key", rng.integers(keys, size=rows).tolist()),
            "amount": column("amount", rng.choice([1.0, 1.004, 1.005, 1.01, np.inf], size=rows).tolist()),
            "day": column("day", np.array(days, dtype="datetime64[D]").tolist()),
            "moment": column("moment", np.array(days, dtype="datetime64[s]").tolist()),
        }
    )


def row_by_row(stored: pd.DataFrame, right: pd.DataFrame) -> list[tuple[Any, ...]]:
    """What `differences` finds, in the plainest of ways."""
    names = [column.name for column in TOTALS.columns]
    here, there = (frame[names].astype(object).where(frame[names].notna(), None) for frame in (stored, right))
    expected = {row[0]: row for row in there.itertuples(index=False, name=None)}
    found: dict[tuple[str, str], list[Any]] = {}
    seen = set()
    for index, row in enumerate(here.itertuples(index=False, name=None)):
        if row[0] in seen or row[0] not in expected:
            reason = "repeated_row" if row[0] in seen else "unfounded_row"
            found.setdefault(("key", reason), []).append(case("key", reason, index, row[0]))
            continue
        seen.add(row[0])
        for name, value, wanted in zip(names, row, expected[row[0]], strict=True):
            amounts = isinstance(value, float) and isinstance(wanted, float)
            if abs(value - wanted) < 0.005 if amounts else value == wanted:
                continue
            told = [f"{each:.2f}" if isinstance(each, float) else str(each) for each in (value, wanted)]
            found.setdefault((name, "wrong_value"), []).append(
                case(name, "wrong_value", index, f"{told[0]}, not {told[1]}")
            )
    missing = [case("key", "missing_row", None, key) for key in expected if key not in seen]
    found |= {("key", "missing_row"): missing} if missing else {}
    return [(*kind, len(cases), cases[:SHOWN_CASES]) for kind, cases in sorted(found.items())]


@pytest.mark.parametrize("seed", range(40))
def test_differences_are_those_of_row_after_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, keys = int(rng.integers(90)), int(rng.choice([3, 40, 1000]))
    stored = some(rng, rows, keys)
    right = stored.iloc[rng.permutation(rows)].reset_index(drop=True) if seed % 3 == 0 else some(rng, rows, keys)
    told = [(each.column, each.reason, each.count, list(each.cases)) for each in differences(stored, right, TOTALS)]
    assert told == row_by_row(stored, right)


TEXTS = ["ana@x.io", "Ana", "José", "Ã©", "two  words", " lead", "tab\there", "v\x0bt", "nb\u00a0sp", "", "ok\n", "aa"]


PATTERNS = [
    READABLE,
    EMAIL,
    r"\w+@\w+\.io",
    r"\S+\s?\S*",
    "[^ ]{,3}",
    r"(?i)OK|ANA",
    r"(?!o)\w+",
    r"(.)\1",
    "[[:alpha:]]+",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.filterwarnings("ignore:Possible nested set")
def test_a_pattern_means_what_python_says(pattern: str) -> None:
    values = pa.chunked_array([pa.array([*TEXTS, None, *TEXTS])])
    assert _misfits(values, re.compile(pattern)) == [text for text in TEXTS if not re.fullmatch(pattern, text)]


def test_texts_that_repeat_are_read_as_each_of_them_alone() -> None:
    numbers = ["1,200.50", "300 cents", None, "n/a", "-$ 5", "12 pcs", ""]
    many = pa.array(numbers * 50).slice(3)
    assert read_numbers(many).to_pylist() == [
        read_numbers(pa.array([text], pa.string()))[0].as_py() for text in many.to_pylist()
    ]
    timestamps = ["29/03/2026 14:00:00", "2026-03-29T12:00:00+02:00", None, "soon", "@1772719629", "31/02/2026"]
    many = pa.array(timestamps * 50).slice(2)
    apart = [read_timestamps(pa.array([text], pa.string())) for text in many.to_pylist()]
    assert read_timestamps(many).timestamps().to_pylist() == [each.timestamps()[0].as_py() for each in apart]
    assert read_timestamps(many).read.tolist() == [bool(each.read[0]) for each in apart]
    assert read_timestamps(pa.array([], pa.string())).dates().to_pylist() == []


def test_a_content_hash_is_what_it_always_was_however_a_column_is_held() -> None:
    words = pa.array([None, "é", "", "日本", "abc", None, "x"], pa.string())
    frames = [
        pd.DataFrame({"w": pd.Series(pd.arrays.ArrowExtensionArray(array))})
        for array in (words.slice(1, 5), pa.chunked_array([words.slice(1, 2), words.slice(3, 3)]))
    ]
    assert {content_hash(frame) for frame in frames} == {"ee7e69f710572b2a"}


def test_no_suite_is_given_a_set_as_large_as_a_table() -> None:
    found = task("referential")
    tables = dict(reference(compile_incident("referential", seed=3), found, _transforms()))
    declared = {table.feed: len(tables[table.name]) for table in found.tables if table.feed}
    frame, suite = _suite(CheckContext(found, tables, {}, (), frozenset(), declared), found.table("orders"))
    sets = [each.value_set for each in suite.expectations if hasattr(each, "value_set")]
    assert len(sets) == 2 and max(map(len, sets)) == 1
    # Nor a column that it does not name.
    assert not {"quantity", "order_date"} & set(frame.columns) and len(frame) == len(tables["orders"])


def _transforms() -> Any:
    from mario_dagster.tables.spec import pipeline_spec

    return pipeline_spec(task("referential")).transforms
