"""The table operations: a repair changes what it says and nothing else."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_dagster.core.action import ROW_WISE, Action, ActionId
from mario_dagster.core.formats import (
    NUMERIC_SENTINELS,
)
from mario_dagster.tables import repairs
from mario_dagster.tables.frames import as_type, column_type, content_hash
from mario_dagster.tables.parsing import parse_timestamps
from mario_dagster.tables.repairs import InvalidRepair, outlier_mask, parse_numbers, repair_of

from .sales import NOON, SALES, after, cast, column, frame, lean

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
