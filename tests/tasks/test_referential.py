"""Task 3 by itself: a shop's two months, how its totals come about, and that its references cannot be talked round."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mario_dagster.core import registry
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tables.transforms import TransformError
from mario_dagster.tasks.referential.transforms import order_totals

from .at_rest import AtRest

TASK = registry.task("referential")
FED = tuple(table for table in TASK.tables if not table.derived)
TOTALS = "order_totals"
SUCCESS = 0.999


def test_a_shop_s_two_months_look_like_them() -> None:
    beyond = 0
    for seed in range(12):
        workspace = clean_data_of(TASK.slug, seed)
        orders, customers, products = (workspace.feeds[table.name] for table in FED)
        assert [len(table) for table in (orders, customers, products)] == [600, 200, 40]
        assert orders["order_id"].is_monotonic_increasing and orders["order_date"].is_monotonic_increasing
        days = (orders["order_date"].max() - orders["order_date"].min()).days
        assert 35 <= days <= 76 and orders["order_date"].max() < workspace.now.date()
        assert customers["email"].is_unique and sum(not name.isascii() for name in customers["name"]) >= 40
        assert customers["age"].between(18, 84).all() and products["product_name"].is_unique
        quantity = orders["quantity"].astype(float)
        assert quantity.quantile(0.75) - quantity.quantile(0.25) >= 1  # a median is always a plausible fill
        beyond += int((quantity - quantity.mean()).abs().gt(3 * quantity.std()).sum())
        assert 0.2 < orders["customer_id"].nunique() / len(customers) <= 1.0
    assert beyond > 12


@pytest.mark.parametrize("table", ["orders", "customers"])
def test_renaming_a_joined_column_does_not_switch_the_reference_off(table: str) -> None:
    rest = AtRest.of("referential")
    rest.tables[table] = rest.tables[table].rename(columns={"customer_id": "hidden"})
    assert "every_customer_exists" in rest.failing()


def test_wrong_totals_of_right_tables_are_worth_three_tenths() -> None:
    rest = AtRest.of("referential")
    totals = rest.tables[TOTALS]
    assert rest.grade().score == pytest.approx(1.0) and not rest.failing()
    rest.tables[TOTALS] = totals.sample(frac=1.0, random_state=4).reset_index(drop=True)
    assert rest.grade().score == pytest.approx(1.0)  # by key, whatever the row order
    rest.tables[TOTALS] = totals.assign(total_price=totals["total_price"] + 0.01)
    assert rest.grade().score == pytest.approx(0.30)
    rest.tables[TOTALS] = half = totals.iloc[: len(totals) // 2]
    assert rest.grade().score == pytest.approx(0.30 + 0.70 * len(half) / len(totals))
    assert "totals_match_price_times_quantity" in rest.failing()


def test_a_lost_quantity_is_a_guess_and_neither_it_nor_its_total_earns_or_costs() -> None:
    rest = AtRest.of("referential", "sentinel_reference_breakage", seed=3)
    gone = sorted(int(key) for key, column in rest.truth.lost["orders"] if column == "quantity")
    orders, totals = rest.tables["orders"], rest.tables[TOTALS]
    assert gone and rest.grade().guessed >= len(gone)
    lost = orders["order_id"].isin(gone)
    for quantity in (1, 55):
        rest.tables["orders"] = orders.assign(quantity=orders["quantity"].mask(lost, quantity))
        rest.refresh()
        assert rest.grade().score == pytest.approx(1.0)
    # Anybody else's quantity, and anybody else's total, is known.
    known = orders["order_id"] == next(key for key in orders["order_id"] if key not in gone)
    rest.tables["orders"] = orders.assign(quantity=orders["quantity"].mask(known, 55))
    rest.refresh()
    assert rest.grade().score < SUCCESS
    # A total that does not follow from the guess is no matter of truth, and no check lets it pass.
    rest.tables["orders"], lost = orders, totals["order_id"].isin(gone)
    rest.tables[TOTALS] = totals.assign(total_price=totals["total_price"].mask(lost, 0.01))
    assert "totals_match_price_times_quantity" in rest.failing()


def test_tables_without_rows_are_worth_nothing() -> None:
    rest = AtRest.of("referential")
    rest.tables = {name: frame.iloc[:0] for name, frame in rest.tables.items()}
    assert rest.grade().score == 0.0


def test_totals_take_the_first_price_of_a_product_and_refuse_what_is_not_a_number() -> None:
    workspace = clean_data_of(TASK.slug, 1)
    orders, products = workspace.feeds["orders"], workspace.feeds["products"]
    right = order_totals(orders, products)
    price = products.set_index("product_id")["unit_price"].astype(float)
    due = (orders["product_id"].map(price).astype(float) * orders["quantity"].astype(float)).round(2)
    assert np.allclose(right["total_price"].astype(float), due, atol=0.005)
    doubled = pd.concat([products, products.assign(unit_price=products["unit_price"] * 2)], ignore_index=True)
    pd.testing.assert_frame_equal(order_totals(orders, doubled), right)
    fewer = order_totals(orders, products.iloc[1:])
    assert set(fewer["order_id"]) == set(orders["order_id"][orders["product_id"] != products["product_id"].iloc[0]])
    texts_ = products.assign(unit_price=products["unit_price"].astype("string[pyarrow]"))
    with pytest.raises(TransformError, match=r"products\.unit_price is"):
        order_totals(orders, texts_)
    with pytest.raises(TransformError, match="orders has no column 'quantity'"):
        order_totals(orders.drop(columns="quantity"), products)
