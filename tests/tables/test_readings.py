"""What a feed may write is read back exactly: numbers, moments and texts, through the repairs that cast them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mario_dagster.core.formats import (
    CENT_WORDS,
    CURRENCY_MARKS,
    DATE_FORMATS,
    SENTINELS,
    TIMESTAMP_FORMATS,
    UNIT_WORDS,
)
from mario_dagster.tables.frames import column_type
from mario_dagster.tables.parsing import demojibake, parse_timestamps
from mario_dagster.tables.repairs import InvalidRepair, parse_numbers

from .sales import NOON, after, cast, column, frame, lean

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
