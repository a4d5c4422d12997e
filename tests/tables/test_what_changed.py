"""A repair says what it did: how many cells, and which way it took where there was a choice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mario_dagster.core.action import Action
from mario_dagster.core.task import Column, Table
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.frames import ARROW
from mario_dagster.tables.repairs import apply
from mario_dagster.tables.what_changed import EXAMPLE_LENGTH, LONGEST, what_changed

ORDERS = Table(
    "orders",
    (
        Column("order_id", "int64"),
        Column("quantity", "int64", minimum=1, maximum=90),
        Column("amount", "float64", "What was paid, in dollars.", minimum=0, maximum=10_000),
        Column("fee", "float64"),
        Column("placed", "date"),
        Column("at", "timestamp"),
        Column("state", "string", categories=("new", "old")),
        Column("note", "string"),
    ),
    key="order_id",
    feed="orders",
)


def frame(**columns: Sequence[Any]) -> pd.DataFrame:
    made = {}
    for name, values in columns.items():
        known = [value for value in values if value is not None]
        kinds = {str: "string", int: "int64", float: "float64", datetime: "timestamp", date: "date"}
        kind = kinds[type(known[0])] if known else "string"
        made[name] = pd.Series(list(values), dtype=ARROW[kind])  # type: ignore[index]
    return pd.DataFrame(made)


def told(before: pd.DataFrame, name: str, column: str | None = None, **fields: Any) -> str:
    action = Action.named(name, column, **fields)
    return what_changed(before, apply(action, before, ORDERS), action, ORDERS)


CASES: list[tuple[str, str, Sequence[Any], str]] = [
    ("cast_to_int", "quantity", ["3", "n/a", "7 bx", "n/a", "x y", None],
     "quantity: 2 unreadable values became null, e.g. '7 bx', 'x y'; 2 words for no value became null, e.g. 'n/a'"),
    ("cast_to_int", "quantity", ["3", "4 pcs"], "quantity: no value was lost"),
    ("cast_to_int", "quantity", [3, 4], "quantity: no cell changed"),
    ("cast_to_float", "amount", ["$1.50", "$2.00", "₹3.00", "INR 4.00", "5.00"],
     "amount: 4 amounts had a currency mark ($ 2, INR 1, ₹ 1), taken off without converting any; "
     "2 of them are not in the contract's dollars"),
    ("cast_to_float", "amount", ["US$1", "USD 2"],
     "amount: 2 amounts had a currency mark (US$ 1, USD 1), taken off without converting any"),
    ("cast_to_float", "fee", ["US$1", "€2"],
     "fee: 2 amounts had a currency mark (US$ 1, € 1), taken off without converting any"),
    ("cast_to_float", "amount", ["150 cents", "20¢", "1.00"], "amount: 2 amounts in cents divided by 100"),
    ("cast_to_string", "placed", ["04-12-2024", "13-12-2024"],
     "placed: 1 cell spelt anew, e.g. '04-12-2024' as '2024-04-12'; 1 cell can be read in two ways: between dashes the "
     "month came first, e.g. '04-12-2024' as 2024-04-12; stays text: 1 value is no date, e.g. '13-12-2024'"),
    ("cast_to_string", "placed", ["04-12-2024", "12-25-2024", "05/06/2024", "07.08.2024", "05/05/2024", "2024-01-02"],
     "placed: 1 cell can be read in two ways: between dashes the month came first, e.g. '04-12-2024' as 2024-04-12; "
     "2 cells can be read in two ways: between slashes or dots the day came first, e.g. '05/06/2024' as 2024-06-05"),
    ("cast_to_string", "placed", ["2024-01-02", "soon", "n/a"],
     "placed: 1 word for no value became null, e.g. 'n/a'; stays text: 1 value is no date, e.g. 'soon'"),
    ("cast_to_string", "at", ["2024-01-02T03:04:05+05:30", "2024-01-02 03:04:05"],
     "at: 1 time with an offset converted to UTC"),
    ("cast_to_string", "placed", ["2024-01-02T00:00:00+05:30"],
     "placed: 1 date with an offset from UTC kept as written"),
    ("cast_to_string", "state", ["NEW", "old", " old", "gone", "n/a"],
     "state: 1 word for no value became null, e.g. 'n/a'; 2 cells spelt anew, e.g. 'NEW' as 'new'; "
     "1 value is none of its categories, e.g. 'gone'"),
    ("cast_to_string", "note", ["CafÃ©", "fine"], "note: 1 cell spelt anew, e.g. 'CafÃ©' as 'Café'"),
    ("cast_to_string", "note", ["fine"], "note: no cell changed"),
    ("fill_median", "quantity", [3, None, 5, None, 5], "quantity: 2 nulls filled with 5, the median"),
    ("fill_mean", "amount", [1.0, None, 2.0], "amount: 1 null filled with 1.5, the mean"),
    ("fill_mean", "amount", [1.0, 2.0], "amount: it had no nulls to fill"),
    ("fill_forward", "state", [None, "new", None, "old", None, None],
     "state: 4 nulls filled with the value of the row before, or else of the row after: 'new' (2), 'old' (2)"),
    ("drop_nulls", "quantity", [3, None, 5], "dropped 1 row without quantity"),
    ("drop_outliers", "quantity", [3, 4, 999999, 5, 4, 999999, -1],
     "dropped 3 rows whose quantity is out of range or far from the others: '999999' (2), '-1' (1)"),
    ("drop_outliers", "quantity", [3, 4], "quantity: no value is outside its range or far from the others"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "column", "values", "said"), CASES)
def test_counts_choices_and_examples(action: str, column: str, values: Sequence[Any], said: str) -> None:
    text = told(frame(**{column: values}), action, column)
    assert text == said


def test_of_rows_with_one_key_it_says_how_many_differ_and_which_was_kept() -> None:
    before = frame(order_id=[1, 2, 1, 2, 1, None], quantity=[5, 6, 5, 7, 5, 1], note=["a", None, "a", None, "b", "c"])
    assert told(before, "remove_duplicates") == (
        "dropped 3 rows whose order_id an earlier row has, 1 of them exact copies; "
        "of 2 that differ (in quantity, note) the first was kept"
    )
    assert told(before.head(2), "remove_duplicates") == "no order_id stands there twice"
    assert told(before, "rename_column", "note", new_name="remark") == ""


def test_every_text_is_bounded_and_on_one_line() -> None:
    values = [f"{'long text ' * 20}\n{number}" for number in range(50)]
    text = told(frame(quantity=["1", *values]), "cast_to_int", "quantity")
    assert "50 unreadable values" in text and "\n" not in text and len(text) <= LONGEST
    assert all(len(part) <= EXAMPLE_LENGTH for part in text.partition("e.g. ")[2].split(", "))
    assert text == told(frame(quantity=["1", *values]), "cast_to_int", "quantity")
    moments = [datetime(2024, 1, 2, tzinfo=UTC)] * 2
    assert told(frame(at=moments), "cast_to_string", "at") == "at: no cell changed"


@pytest.mark.parametrize("kind", ["string", "int64", "float64", "date", "timestamp"])
@pytest.mark.parametrize("size", [0, 1])
def test_tables_of_no_row_and_of_one_are_described(kind: str, size: int) -> None:
    values = {
        "string": "3",
        "int64": 3,
        "float64": 3.5,
        "date": date(2024, 1, 2),
        "timestamp": datetime(2024, 1, 2, tzinfo=UTC),
    }
    before = pd.DataFrame(
        {
            "order_id": pd.Series([1] * size, dtype=ARROW["int64"]),
            "note": pd.Series([values[kind]] * size, dtype=ARROW[kind]),
        }  # type: ignore[index]
    )
    for name in ("cast_to_string", "fill_forward", "drop_nulls", "remove_duplicates"):
        assert told(before, name, "note")


def test_a_step_says_it_of_the_stored_table(tmp_path: Path) -> None:
    with Sandbox.create("temporal", seed=5, home=Home(tmp_path)) as sandbox:
        before = sandbox.table("source_orders")
        action = Action.named("remove_duplicates")
        result = sandbox.repair("source_orders", action)
        said = what_changed(before, sandbox.table("source_orders"), action, sandbox.task.main_table)
        assert said.startswith("dropped ") and f"rows; {said}; failing: " in result.message
