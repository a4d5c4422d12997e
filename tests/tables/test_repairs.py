"""The table operations: what a feed may write is read back exactly; a repair changes what it says and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mario_dagster.core.action import ROW_WISE, Action, ActionId
from mario_dagster.core.formats import (
    CENT_WORDS,
    CURRENCY_MARKS,
    DATE_FORMATS,
    NUMERIC_SENTINELS,
    SENTINELS,
    TIMESTAMP_FORMATS,
    UNIT_WORDS,
)
from mario_dagster.core.task import Column, ColumnType, Table
from mario_dagster.tables import repairs
from mario_dagster.tables.frames import ARROW, as_type, column_type, content_hash
from mario_dagster.tables.parsing import demojibake, parse_timestamps
from mario_dagster.tables.repairs import InvalidRepair, outlier_mask, parse_numbers, repair_of

lean = settings(max_examples=40, deadline=None)

SALES = Table(
    name="sales",
    key="sale_id",
    columns=(
        Column("sale_id", "int64", minimum=1),
        Column("quantity", "int64", minimum=1, maximum=60),
        Column("amount", "float64", minimum=0.01, maximum=100_000, skewed=True),
        Column("city", "string"),
        Column("status", "string", categories=("Paid", "open", "refunded")),
        Column("sold_at", "timestamp"),
        Column("due", "date"),
    ),
)
NOON = datetime(2026, 3, 29, 12, 0, 5, tzinfo=UTC)


def column(values: Iterable[Any], kind: ColumnType = "string") -> pd.Series:
    return pd.Series(list(values), dtype=ARROW[kind])


def frame(**changes: pd.Series) -> pd.DataFrame:
    """Four sales, in contract types; `changes` takes the place of whole columns."""
    columns = {
        "sale_id": column([11, 12, 13, 14], "int64"),
        "quantity": column([1, 2, 3, 4], "int64"),
        "amount": column([10.5, 20.25, 31.0, 12.75], "float64"),
        "city": column(["Oslo", "Café Noir", "São Paulo", "Lima"]),
        "status": column(["Paid", "open", "refunded", "open"]),
        "sold_at": column([NOON + timedelta(hours=hour) for hour in range(4)], "timestamp"),
        "due": column([date(2026, 4, day) for day in (1, 2, 3, 4)], "date"),
    }
    return pd.DataFrame(columns | changes)


def after(action: Any, target: str | None = None, data: pd.DataFrame | None = None, **fields: Any) -> pd.DataFrame:
    return repairs.apply(Action.named(action, target, **fields), frame() if data is None else data, SALES)


def cast(action: Any, values: Sequence[Any], target: str = "city") -> list[Any]:
    done = after(action, target, pd.DataFrame({target: column(values)}))[target]
    return [None if value is pd.NA else value for value in done.tolist()]


# --- numbers ----------------------------------------------------------------------------------------------------------

AMOUNT_MARKS = ["{}", " {} ", *(f"{mark}{{}}" for mark in CURRENCY_MARKS), *(f"{{}} {mark}" for mark in CURRENCY_MARKS)]
COUNT_MARKS = ["{}", *(f"{{}} {word}" for word in UNIT_WORDS), *(f"{{}}{word.upper()}" for word in UNIT_WORDS)]


@lean
@given(st.lists(st.integers(-(10**11), 10**11), min_size=1, max_size=20), st.data())
def test_every_way_to_write_an_amount_gives_back_the_exact_amount(cents: list[int], data: st.DataObject) -> None:
    texts = []
    for each in cents:
        mark = data.draw(st.sampled_from([*AMOUNT_MARKS, *(f"{{}} {word}" for word in CENT_WORDS)]))
        number = each if any(mark.endswith(f" {word}") for word in CENT_WORDS) else each / 100
        digits = data.draw(st.sampled_from(["{}", "{:,}"])).format(number)
        texts.append(mark.format(digits))
    assert cast("cast_to_float", texts) == [each / 100 for each in cents]


@lean
@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20), st.data())
def test_every_way_to_write_a_count_gives_back_the_exact_count(counts: list[int], data: st.DataObject) -> None:
    texts = [data.draw(st.sampled_from(COUNT_MARKS)).format(f"{each:,}") for each in counts]
    assert cast("cast_to_int", texts) == counts


@lean
@given(st.lists(st.floats(-1e90, 1e90), min_size=1, max_size=20))
def test_a_float_written_out_in_full_is_read_back_exactly(values: list[float]) -> None:
    values = [value for value in values if value == 0 or abs(value) > 1e-90] or [0.5]
    assert cast("cast_to_float", list(map(repr, values))) == values


@lean
@given(st.lists(st.text(max_size=12) | st.from_regex(r"[-+$,. 0-9a-z]{0,9}", fullmatch=True), max_size=20))
def test_no_text_breaks_the_readers(texts: list[str]) -> None:
    numbers, timestamps = parse_numbers(column(texts)), parse_timestamps(column(texts))
    assert (column_type(numbers), column_type(timestamps)) == ("float64", "timestamp")
    assert len(numbers) == len(timestamps) == len(texts)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("US$ 1,234.50", 1234.5),
        ("-$5", -5.0),
        ("$-5", -5.0),
        ("1234¢", 12.34),
        ("29 Cents", 0.29),
        ("1,234 minor units", 12.34),
        ("₹1,00,000.25", 100_000.25),
        ("1 234.50 EUR", 1234.5),
        ("1\u00a0234", 1234.0),
        ("x3", 3.0),
        ("1e3", 1000.0),
        ("999999", 999_999.0),  # a number, if an implausible one: for drop_outliers, not for a cast
        ("12,34", None),  # a decimal comma or a slip: nothing says which
        ("1,2345", None),
        ("1.2.3", None),
        ("1x2", None),
        ("--5", None),
        ("+ 5 -", None),
        ("2026-03-01", None),
        ("t01", None),
        ("inf", None),
        ("9" * 400, None),
    ],
)
def test_marks_say_what_a_number_is(text: str, number: float | None) -> None:
    assert cast("cast_to_float", [text, "1"]) == [number, 1.0]


def test_words_for_no_value_and_unreadable_ones_become_null_in_a_cast() -> None:
    texts = [*SENTINELS, *(f" {word.upper()} " for word in SENTINELS), "broken", "7 units"]
    assert cast("cast_to_int", texts, "quantity") == [None] * (2 * len(SENTINELS) + 1) + [7]


def test_a_column_of_nothing_but_sentinels_can_be_cast() -> None:
    assert cast("cast_to_int", ["n/a", "-"], "quantity") == [None, None]


def test_numbers_that_are_right_stay_right() -> None:
    for target in ("quantity", "sale_id"):
        assert after("cast_to_int", target).equals(frame())
    assert after("cast_to_float", "amount").equals(frame())
    assert (
        column_type(after("cast_to_int", "quantity", frame(quantity=column([1.0, 2.0, None, 4.0], "float64"))).quantity)
        == "int64"
    )


@pytest.mark.parametrize(
    ("action", "values", "said"),
    [
        ("cast_to_int", ["1", "2.5 units"], "2.5"),
        ("cast_to_int", ["1", "99999999999999999999"], "too large"),
        ("cast_to_int", ["Oslo", None, "?"], "no value of 'city' reads as a number"),
        ("cast_to_float", ["Oslo", "12 Oak Street"], "no value of 'city' reads as a number"),
    ],
)
def test_a_cast_that_would_lose_data_is_refused(action: Any, values: list[str], said: str) -> None:
    with pytest.raises(InvalidRepair, match=said):
        cast(action, values)


@pytest.mark.parametrize("target", ["sold_at", "due"])
def test_a_moment_is_not_cast_to_a_number(target: str) -> None:
    with pytest.raises(InvalidRepair, match="not a number"):
        after("cast_to_float", target)


# --- moments ----------------------------------------------------------------------------------------------------------

seconds = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
offsets = st.integers(-14 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))


def spelt(moment: datetime, name: str, zone: timezone = UTC) -> str:
    if name == "epoch_seconds":
        return f"@{int(moment.timestamp())}"
    pattern = TIMESTAMP_FORMATS[name]
    return (moment.astimezone(zone) if "%z" in pattern else moment).strftime(pattern)


@lean
@given(st.lists(st.tuples(seconds, st.sampled_from(list(TIMESTAMP_FORMATS)), offsets), min_size=1, max_size=30))
def test_every_spelling_of_a_time_gives_back_the_exact_moment(written: list[tuple[datetime, str, timezone]]) -> None:
    texts = [spelt(moment, name, zone) for moment, name, zone in written]
    done = after("cast_to_string", "sold_at", pd.DataFrame({"sold_at": column([*texts, "n/a", None])})).sold_at
    assert column_type(done) == "timestamp"
    assert done[:-2].tolist() == [moment for moment, *_ in written] and done[-2:].isna().all()


@lean
@given(
    st.lists(st.tuples(st.dates(date(1900, 1, 1), date(2199, 12, 31)), st.sampled_from(list(DATE_FORMATS))), min_size=1)
)
def test_every_spelling_of_a_date_gives_back_the_exact_date(written: list[tuple[date, str]]) -> None:
    texts = [day.strftime(DATE_FORMATS[name]) for day, name in written]
    done = after("cast_to_string", "due", pd.DataFrame({"due": column(texts)})).due
    assert column_type(done) == "date" and done.tolist() == [day for day, _ in written]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("03/05/2026", "2026-05-03T00:00Z"),
        ("03.05.2026 07:08", "2026-05-03T07:08Z"),
        ("03-05-2026", "2026-03-05T00:00Z"),
        ("2026-03-05", "2026-03-05T00:00Z"),
        ("2026/03/05", "2026-03-05T00:00Z"),
        ("2026-03-01T00:00:00+05:30", "2026-02-28T18:30Z"),
        ("2026-03-01 00:00-0800", "2026-03-01T08:00Z"),
        ("03/05/2026 10:00 UTC", "2026-05-03T10:00Z"),
        ("2026-03-01T00:00:00.25Z", "2026-03-01T00:00:00.25Z"),
        ("2026-03-01T00:00:00.123456789", "2026-03-01T00:00:00.123456Z"),
        ("5 march 2026 06:07:08", "2026-03-05T06:07:08Z"),
        ("29 Feb 2024", "2024-02-29T00:00Z"),
        ("@-1", "1969-12-31T23:59:59Z"),
        ("29 Feb 2026", None),
        ("31/04/2026", None),
        ("13-13-2026", None),
        ("00/01/2026", None),
        ("2026-03-05T24:00:00Z", None),
        ("2026-03-05T10:61:00Z", None),
        ("5 Mai 2026", None),
        ("2026-03/05", None),
        ("03/05/26", None),
        ("1772719629", None),
        ("yesterday", None),
        ("\u0660\u0663/05/2026", None),
    ],
)
def test_marks_say_which_is_the_day_and_which_the_month(text: str, moment: str | None) -> None:
    read = parse_timestamps(column([None, f" {text} "]))
    assert read.isna().tolist() == [True, moment is None]
    assert moment is None or read[1] == pd.Timestamp(moment)


def test_a_date_is_the_one_written_whatever_the_offset() -> None:
    texts = ["2026-03-01T00:00:00+05:30", "2026-03-01 23:59:59-0800"]
    assert cast("cast_to_string", texts, "due") == [date(2026, 3, 1)] * 2


def test_what_cannot_be_read_as_a_moment_stays_and_the_rest_becomes_canonical() -> None:
    done = cast("cast_to_string", ["29/03/2026 14:00:00", "soon", None, "tbd"], "sold_at")
    assert done == ["2026-03-29T14:00:00Z", "soon", None, None]
    assert cast("cast_to_string", ["29/03/2026", "soon"], "due") == ["2026-03-29", "soon"]


def test_a_column_under_a_drifted_name_is_known_by_its_values() -> None:
    done = {name: after("cast_to_string", name, pd.DataFrame({name: column(values)}))[name] for name, values in {
        "evt_time": ["29/03/2026 14:00:00", "n/a"],
        "due_on": ["29.03.2026", "2026-03-30"],
        "reference": ["20260329", "20260330"],
        "note": ["29.03.2026", "soon"],
    }.items()}  # fmt: skip
    assert {name: column_type(values) for name, values in done.items()} == {
        "evt_time": "timestamp",
        "due_on": "date",
        "reference": "string",
        "note": "string",
    }
    assert done["note"].tolist() == ["29.03.2026", "soon"]


def test_moments_change_type_to_their_contract_and_back_to_text_where_it_wants_text() -> None:
    timestamps = column([NOON], "timestamp")
    assert after("cast_to_string", "due", pd.DataFrame({"due": timestamps})).due.tolist() == [NOON.date()]
    assert after("cast_to_string", "city", pd.DataFrame({"city": timestamps})).city.tolist() == ["2026-03-29T12:00:05Z"]
    assert after("cast_to_string", "due", pd.DataFrame({"due": column([20260329], "int64")})).due.tolist() == [
        NOON.date()
    ]
    assert (
        column_type(after("cast_to_string", "elsewhere", pd.DataFrame({"elsewhere": timestamps})).elsewhere)
        == "timestamp"
    )


# --- text -------------------------------------------------------------------------------------------------------------


def mangled(text: str, rounds: int, as_latin: bool) -> str:
    for _ in range(rounds):
        text = "".join(
            bytes([byte]).decode("latin-1" if as_latin or byte in b"\x81\x8d\x8f\x90\x9d" else "cp1252")
            for byte in text.encode()
        )
    return text


letters = st.text(st.sampled_from("abz '-éèüßñçÅØłŠžàÉ…€\u2019日本🎉"), min_size=1, max_size=10).map(
    lambda text: " ".join(text.split())
)


@lean
@given(letters, st.integers(0, 2), st.booleans(), st.sampled_from(["{}", " {}", "{}\t ", "  {}  "]))
def test_mangled_letters_and_stray_blanks_are_undone(text: str, rounds: int, as_latin: bool, around: str) -> None:
    assume(demojibake(text) == text)  # `ÅŠ` might be either
    written = around.format(mangled(text, rounds, as_latin)).replace(" ", "  ")
    assert cast("cast_to_string", [written, None]) == [text, None]


@lean
@given(st.lists(st.tuples(letters | st.just("a\0b"), st.integers(0, 1)), min_size=2, max_size=8))
def test_a_column_of_texts_is_mended_like_each_of_them(written: list[tuple[str, int]]) -> None:
    texts = [mangled(text, rounds, as_latin=False) for text, rounds in written]
    assert cast("cast_to_string", texts) == [cast("cast_to_string", [text])[0] for text in texts]


@pytest.mark.parametrize(
    "text", ["Café", "naïve Â", "PRÊT\u2019S", "CAFÉ™", "Ångström", "日本", "São Ã", "plain", "€ 5", ""]
)
def test_text_that_is_right_is_left_alone(text: str) -> None:
    assert demojibake(text) == text and cast("cast_to_string", [text]) == [text]


def test_only_categories_are_folded_and_lose_their_sentinels() -> None:
    texts = [" PAID ", "Open", "REFUNDED", "n/a", "", "Lost", None]
    assert cast("cast_to_string", texts, "status") == ["Paid", "open", "refunded", None, None, "Lost", None]
    assert cast("cast_to_string", texts) == ["PAID", "Open", "REFUNDED", "n/a", "", "Lost", None]


def test_numbers_become_text_that_casts_back() -> None:
    data = frame(amount=column([0.1, 5.0, None, 12345678.91], "float64"))
    text = after("cast_to_string", "amount", data)
    assert column_type(text.amount) == "string"
    assert after("cast_to_float", "amount", text).equals(data)
    assert after("cast_to_string", "quantity").quantity.tolist() == ["1", "2", "3", "4"]


# --- fills and drops --------------------------------------------------------------------------------------------------


def test_fills_put_the_centre_where_a_value_is_missing() -> None:
    holes = frame(quantity=column([1, None, 2, 9], "int64"), amount=column([1.0, None, 2.0, 9.005], "float64"))
    assert after("fill_median", "quantity", holes).quantity.tolist() == [1, 2, 2, 9]
    assert after("fill_mean", "quantity", holes).quantity.tolist() == [1, 4, 2, 9]
    assert after("fill_mean", "amount", holes).amount.tolist() == [1.0, 4.0, 2.0, 9.005]
    assert column_type(after("fill_mean", "quantity", holes).quantity) == "int64"


def test_fill_forward_takes_the_value_above_or_the_first_below() -> None:
    assert cast("fill_forward", [None, "a", None, "b", None]) == ["a", "a", "a", "b", "b"]
    timestamps = frame(sold_at=column([None, NOON, None, NOON], "timestamp"))
    assert after("fill_forward", "sold_at", timestamps).sold_at.tolist() == [NOON] * 4


def test_drop_nulls_drops_only_rows_without_a_value_there() -> None:
    holes = frame(city=column(["a", None, "", None]), quantity=column([None, 1, 2, 3], "int64"))
    kept = after("drop_nulls", "city", holes)
    assert kept.sale_id.tolist() == [11, 13] and kept.index.tolist() == [0, 1]


def test_of_rows_with_one_key_the_first_is_kept_and_rows_without_a_key_are_no_duplicates() -> None:
    twice = frame(sale_id=column([12, None, 12, None], "int64"))
    kept = after("remove_duplicates", None, twice)
    assert kept.city.tolist() == ["Oslo", "Café Noir", "Lima"]
    with pytest.raises(InvalidRepair, match="no column 'sale_id', its key"):
        after("remove_duplicates", None, twice.rename(columns={"sale_id": "saleid"}))


def test_what_would_empty_a_table_is_refused() -> None:
    with pytest.raises(InvalidRepair, match="no row would be left"):
        after("drop_nulls", "city", frame(city=column([None] * 4)))
    with pytest.raises(InvalidRepair, match="no row would be left"):
        after("drop_outliers", "quantity", frame(quantity=column([999_999] * 4, "int64")))


@pytest.mark.parametrize("action", ["fill_mean", "fill_median", "fill_forward"])
def test_an_empty_column_has_nothing_to_fill_from(action: Any) -> None:
    with pytest.raises(InvalidRepair, match="nothing to fill from"):
        after(action, "amount", frame(amount=column([None] * 4, "float64")))


# --- outliers ---------------------------------------------------------------------------------------------------------


def test_drop_outliers_keeps_nulls_and_what_is_plausible() -> None:
    data = frame(quantity=column([1, None, 999_999, 0], "int64"))
    assert after("drop_outliers", "quantity", data).sale_id.tolist() == [11, 12]


@pytest.mark.parametrize("bad", NUMERIC_SENTINELS)
def test_a_small_table_sees_its_own_outlier(bad: int) -> None:
    mask = outlier_mask(column([1, 2, 3, 2, 1, 2, bad], "int64"), SALES.column("quantity"))
    assert mask.tolist() == [False] * 6 + [True]


def test_far_within_the_range_is_found_by_the_robust_bound_on_the_columns_scale() -> None:
    counts = column([1, 2, 3, 2, 3, 4, 50], "int64")
    assert outlier_mask(counts, SALES.column("quantity")).tolist() == [False] * 6 + [True]
    amounts = column([20.0, 25.0, 30.0, 22.0, 28.0, 400.0, 99_000.0], "float64")
    assert outlier_mask(amounts, SALES.column("amount")).tolist() == [False] * 6 + [True]


@lean
@given(st.integers(0, 2**32 - 1), st.integers(5, 400))
def test_genuine_values_are_never_outliers(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    price = np.clip(30 * np.exp(0.95 * np.clip(rng.normal(size=size), -2, 2)), 2, 900).round(2)
    quantity = rng.geometric(rng.uniform(0.3, 0.6), size).clip(1, 12)
    identifiers = (rng.zipf(1.3, size) % 10**9) + 1
    assert not outlier_mask(column(quantity, "int64"), SALES.column("quantity")).any()
    assert not outlier_mask(column(price * quantity, "float64"), SALES.column("amount")).any()
    assert not outlier_mask(column(identifiers, "int64"), SALES.column("sale_id")).any()


def test_text_nulls_and_columns_that_say_one_thing_have_no_outliers() -> None:
    quantity = SALES.column("quantity")
    for values in (column(["999999"]), column([None], "int64"), column([], "int64"), column([1, 1, 1, 40], "int64")):
        assert not outlier_mask(values, quantity).any()
    assert not outlier_mask(column(range(1, 300), "int64"), None).any()
    assert outlier_mask(column([*range(10, 40), 10**9], "int64"), None).tolist() == [False] * 30 + [True]


# --- names and order --------------------------------------------------------------------------------------------------


def test_rename_and_reorder_touch_no_value() -> None:
    renamed = after("rename_column", "city", new_name="town")
    assert list(renamed.columns)[3] == "town"
    assert renamed.rename(columns={"town": "city"}).equals(frame())
    order = tuple(reversed(SALES.column_names))
    assert after("reorder_columns", column_order=order).equals(frame()[list(order)])


@pytest.mark.parametrize(
    ("repair", "said"),
    [
        (Action.named("fill_mean"), "needs target_column; choose one of: sale_id, quantity"),
        (Action.named("fill_mean", "quantty"), "did you mean 'quantity'.*sale_id, quantity"),
        (Action.named("fill_mean", "city"), "cast it first; numeric columns: sale_id, quantity, amount"),
        (Action.named("drop_outliers", "sold_at"), "is timestamp, not a number"),
        (Action.named("rename_column", "town", "city"), "no column 'town'"),
        (Action.named("rename_column", "city"), "needs new_name"),
        (Action.named("rename_column", "city", "status"), "a column 'status' already"),
        (Action.named("rename_column", "city", "two words"), "no column name"),
        (Action.named("rename_column", "city", "x" * 65), "no column name"),
        (Action.named("reorder_columns"), "needs column_order"),
        (
            Action.named("reorder_columns", column_order=("city", "city", "town")),
            "unknown town; missing sale_id.*repeated city",
        ),
    ],
)
def test_an_invalid_repair_says_what_is_wrong_and_what_there_is(repair: Action, said: str) -> None:
    data = frame()
    before = content_hash(data)
    with pytest.raises(InvalidRepair, match=said):
        repairs.apply(repair, data, SALES)
    assert content_hash(data) == before


# --- what holds for every repair --------------------------------------------------------------------------------------

MESSY = frame(
    sale_id=column([12, 11, 12, None], "int64"),
    quantity=column(["2 units", "n/a", "1,003", "7x"]),
    amount=column([1.0, None, 3.0, 999_999.0], "float64"),
    city=column([" CafÃ©", None, "Lima", "Lima"]),
    status=column(["PAID", "?", "open ", None]),
    sold_at=column(["29/03/2026 14:00:00", "03-29-2026 15:00:00", None, "@1772719629"]),
)
EACH = [
    Action.named("fill_mean", "amount"),
    Action.named("fill_median", "amount"),
    Action.named("fill_forward", "city"),
    Action.named("drop_nulls", "amount"),
    Action.named("cast_to_int", "quantity"),
    Action.named("cast_to_float", "quantity"),
    *(Action.named("cast_to_string", name) for name in ("city", "status", "sold_at", "amount", "due")),
    Action.named("remove_duplicates"),
    Action.named("drop_outliers", "amount"),
    Action.named("reorder_columns", column_order=("due", *SALES.column_names[:-1])),
    Action.named("rename_column", "city", "town"),
]
once_is_enough = [repair for repair in EACH if repair.name != "rename_column"]


@pytest.mark.parametrize("repair", EACH, ids=lambda repair: f"{repair.name}-{repair.target_column}")
def test_a_repair_leaves_its_input_and_all_other_cells_as_they_were(repair: Action) -> None:
    data = MESSY.copy()
    done = repairs.apply(repair, data, SALES)
    assert content_hash(data) == content_hash(MESSY) and done is not data
    assert content_hash(done) != content_hash(MESSY) or repair.target_column == "due"
    others = [name for name in MESSY.columns if name != repair.target_column]
    kept = list(MESSY.index)
    if repair.name.startswith(("drop", "remove")):
        others, kept = list(MESSY.columns), [row for row in kept if any(done.due == MESSY.due[row])]
        assert 0 < len(kept) < len(MESSY)
    assert done[others].equals(MESSY.loc[kept, others].reset_index(drop=True))
    done.loc[0, "due"] = date(1999, 1, 1)
    assert content_hash(data) == content_hash(MESSY)


@pytest.mark.parametrize("repair", once_is_enough, ids=lambda repair: f"{repair.name}-{repair.target_column}")
def test_a_repair_done_twice_is_a_repair_done_once(repair: Action) -> None:
    done = repairs.apply(repair, MESSY, SALES)
    assert content_hash(repairs.apply(repair, done, SALES)) == content_hash(done)


@lean
@given(
    st.lists(st.text(st.sampled_from("aé \u00a0\u2003Ã©Â…â\u201a¬0/:-.@T\t\x85"), max_size=8), min_size=1, max_size=12)
)
def test_normalising_twice_is_normalising_once(texts: list[str]) -> None:
    for target in ("city", "status", "sold_at", "due"):
        done = after("cast_to_string", target, pd.DataFrame({target: column(texts)}))
        assert content_hash(after("cast_to_string", target, done)) == content_hash(done)


@pytest.mark.parametrize("repair", EACH, ids=lambda repair: f"{repair.name}-{repair.target_column}")
def test_an_empty_table_takes_every_repair_that_its_columns_do(repair: Action) -> None:
    done = repairs.apply(repair, MESSY.iloc[:0], SALES)
    assert len(done) == 0 and len(done.columns) == len(MESSY.columns)
    assert all(column_type(done[name]) != "other" for name in done.columns)


# --- plans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("repair", EACH, ids=lambda repair: f"{repair.name}-{repair.target_column}")
def test_a_repair_survives_being_written_down(repair: Action) -> None:
    written = repair.to_config()
    assert repair_of(written) == repair and None not in written.values()
    assert isinstance(written.get("column_order", []), list)


@pytest.mark.parametrize(
    "mapping",
    [{}, {"action": "explode"}, {"action": "drop_nulls", "column": "x"}, {"action": "drop_nulls", "target_column": 3},
     {"action": "reorder_columns", "column_order": "abc"}],
)  # fmt: skip
def test_what_is_no_repair_is_not_read_as_one(mapping: dict[str, Any]) -> None:
    with pytest.raises(InvalidRepair):
        repair_of(mapping)


def test_a_plan_does_to_batches_what_it_did_to_the_table() -> None:
    drifted = MESSY.rename(columns={"city": "town"})[["town", *(name for name in SALES.column_names if name != "city")]]
    plan = [
        Action.named("rename_column", "town", "city"),
        Action.named("cast_to_int", "quantity"),
        *(Action.named("cast_to_string", name) for name in ("city", "status", "sold_at")),
        Action.named("reorder_columns", column_order=SALES.column_names),
    ]
    whole = drifted
    for repair in plan:
        whole = repairs.apply(repair, whole, SALES)
    parts = [
        repairs.reapply(plan, drifted[rows].reset_index(drop=True), SALES)
        for rows in (slice(0, 1), slice(1, 2), slice(2, 4))
    ]
    assert content_hash(pd.concat(parts, ignore_index=True)) == content_hash(whole)


def test_a_plan_skips_what_a_batch_does_not_need_and_what_is_not_row_wise() -> None:
    plan = [
        Action.named("rename_column", "town", "city"),
        Action.named("cast_to_int", "qty"),
        Action.named("drop_nulls", "amount"),
        Action.named("remove_duplicates"),
        Action.named("reorder_columns", column_order=("a", "b")),
    ]
    assert content_hash(repairs.reapply(plan, MESSY, SALES)) == content_hash(MESSY)


def test_the_row_wise_repairs_and_their_order_are_the_contract() -> None:
    assert len(repairs.REPAIR_NAMES) == 11 and repairs.REPAIR_NAMES[7] == "remove_duplicates"
    assert {ActionId[name.upper()] for name in repairs.REPAIR_NAMES if Action.named(name).row_wise} == ROW_WISE


def test_parse_reads_columns_of_any_type() -> None:
    assert parse_numbers(column([1, None], "int64")).tolist()[0] == 1.0
    assert parse_numbers(column([NOON], "timestamp")).isna().all()
    assert parse_timestamps(column([date(2026, 3, 29)], "date")).tolist() == [pd.Timestamp("2026-03-29", tz="UTC")]
    assert parse_timestamps(column([5], "int64")).isna().all()
    assert parse_numbers(pd.Series([1.5, np.nan])).isna().tolist() == [False, True]
    sliced = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(["x", "29/03/2026", "2 units"]).slice(1)))
    assert parse_timestamps(sliced).notna().tolist() == [True, False]
    assert as_type(parse_numbers(sliced), "int64").tolist() == [pd.NA, 2]
