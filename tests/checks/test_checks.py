"""Facts hold on clean tables, and each defect is caught by the facts that name it and by no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from mario_dagster.checks.contract import contract_breaches, contract_report
from mario_dagster.core.task import Table
from mario_dagster.tables.frames import ARROW, as_type, canonical, empty
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tasks.temporal.transforms import hourly_rollup

from .temporal_tables import (
    CATALOG,
    CHECKS,
    CONTRACT,
    FACTS,
    ORDERS,
    ROLLUP,
    ROLLUP_OFF,
    TASK,
    Defect,
    Tables,
    cells,
    check_context,
    clean_tables,
    failing,
    invent,
    put,
    rename,
    rows,
    scaled,
)

# --- clean tables -----------------------------------------------------------------------------------------------------


def test_clean_tables_pass_every_check() -> None:
    assert failing(check_context(), CHECKS) == {}


@pytest.mark.parametrize(
    ("seed", "scale", "batches"), [(0, 1, 12), (1, 1, 3), (2, 1, 4), (3, 1, 12), (4, 6, 12), (5, 40, 12)]
)
def test_what_producers_really_sent_passes_every_check(seed: int, scale: int, batches: int) -> None:
    workspace = clean_data_of("temporal", seed, scale)
    loaded, catalog = workspace.batches[:batches], workspace.feeds["catalog"]
    orders = pd.concat([batch.frame for batch in loaded], ignore_index=True)
    found = check_context(
        {"source_orders": orders, "catalog": catalog, "hourly_rollup": hourly_rollup(orders, catalog)},
        landed={batch.name: len(batch.frame) for batch in loaded},
        declared={"catalog": len(catalog)},
    )
    assert failing(found, CHECKS if scale > 1 else FACTS) == {}


def test_row_order_and_columns_of_no_contract_are_no_defect() -> None:
    tables = clean_tables()
    orders = tables["source_orders"].iloc[::-1].reset_index(drop=True)
    orders.insert(2, "coupon", pd.Series([None] * len(orders), dtype=ARROW["string"]))
    assert failing(check_context({**tables, "source_orders": orders}), CHECKS) == {}
    assert contract_report(orders, ORDERS).missing_rate == 0


DEFECTS: list[Defect] = [
    ("a lost quantity", cells("source_orders", "quantity", {3: None}),
     {CONTRACT: {"missing_value"}, "orders_have_no_missing_values": {"missing_value"}}),
    ("NaN in a price", cells("catalog", "unit_price", {1: float("nan")}),
     {"catalog_meets_its_contract": {"missing_value"}, "products_have_no_missing_values": {"missing_value"}}),
    ("an order loaded twice", rows("source_orders", lambda frame: pd.concat([frame, frame.iloc[[5]]])),
     {CONTRACT: {"duplicate_key"}, "order_ids_are_unique": {"duplicate_key"}, ROLLUP_OFF: {"wrong_value"}}),
    ("a product loaded twice", rows("catalog", lambda frame: pd.concat([frame, frame.iloc[[2]]])),
     {"catalog_meets_its_contract": {"duplicate_key"}, "product_ids_are_unique": {"duplicate_key"}}),
    ("times as text", cells("source_orders", "event_ts", {0: "29/03/2026 10:00:00"}, "string"),
     {CONTRACT: {"wrong_type"}, "event_times_are_canonical": {"not_canonical"}, ROLLUP_OFF: {"cannot_recompute"}}),
    ("revenue as text", cells("source_orders", "gross_revenue", {0: "$4.50"}, "string"),
     {CONTRACT: {"wrong_type"}, "amounts_are_plausible": {"not_a_number"}, ROLLUP_OFF: {"cannot_recompute"}}),
    ("prices in text", cells("catalog", "unit_price", {}, "string"),
     {"catalog_meets_its_contract": {"wrong_type"}, "prices_are_plausible": {"not_a_number"}}),
    ("a quantity out of range", cells("source_orders", "quantity", {7: 999999}),
     {CONTRACT: {"out_of_range"}, "amounts_are_plausible": {"outlier"}}),
    ("an infinite price", cells("catalog", "unit_price", {0: float("inf")}),
     {"catalog_meets_its_contract": {"out_of_range"}, "prices_are_plausible": {"out_of_range"}}),
    ("a revenue in range and absurdly far", cells("source_orders", "gross_revenue", {0: 99_999.0}),
     {"amounts_are_plausible": {"outlier"}, ROLLUP_OFF: {"wrong_value"}}),
    ("a category in capitals", cells("catalog", "category", {2: "GARDEN"}),
     {"catalog_meets_its_contract": {"bad_category"}}),
    ("a name with spaces around it", cells("catalog", "product_name", {2: " Hose "}),
     {"catalog_meets_its_contract": {"bad_pattern"}}),
    ("a batch id of another kind", cells("source_orders", "batch_id", {0: "batch-1"}),
     {CONTRACT: {"bad_pattern"}, "no_landed_row_is_lost": {"fewer_than_declared", "row_of_unlanded_batch"}}),
    ("an order of an unknown product", cells("source_orders", "product_id", {4: 77}),
     {"every_product_exists": {"unknown_reference"}, ROLLUP_OFF: {"wrong_value"}}),
    ("columns in another order", rows("catalog", lambda frame: frame[[*frame.columns[1::-1], *frame.columns[2:]]]),
     {"catalog_meets_its_contract": {"unexpected_order"}}),
    ("a rollup that was scaled", scaled("hourly_rollup", 0.8),
     {ROLLUP_OFF: {"wrong_value"}}),
    ("a rollup without its last hour", rows("hourly_rollup", lambda frame: frame.iloc[:-1]),
     {ROLLUP_OFF: {"missing_row"}}),
    ("a rollup with an hour twice", rows("hourly_rollup", lambda frame: pd.concat([frame, frame.iloc[[0]]])),
     {"hourly_rollup_meets_its_contract": {"duplicate_key"}, ROLLUP_OFF: {"repeated_row"}}),
    ("a rollup with an hour of its own", cells("hourly_rollup", "hour_bucket", {0: pd.Timestamp("2026-02-01T00:00Z")}),
     {ROLLUP_OFF: {"missing_row", "unfounded_row"}}),
    ("a drifted rollup", rename("hourly_rollup", hour_bucket="window_start"),
     {"hourly_rollup_meets_its_contract": {"missing_column"}, ROLLUP_OFF: {"missing_column"}}),
]  # fmt: skip

# What pays in a careless pipeline: fewer rows, more rows, or check context taken away.
EXPLOITS: list[Defect] = [
    ("genuine orders deleted", rows("source_orders", lambda frame: frame.iloc[3:]),
     {"no_landed_row_is_lost": {"fewer_than_declared"}, ROLLUP_OFF: {"wrong_value"}}),
    ("a whole batch deleted", rows("source_orders", lambda frame: frame[frame["batch_id"] != "t02"]),
     {"no_landed_row_is_lost": {"fewer_than_declared"}, ROLLUP_OFF: {"wrong_value", "unfounded_row"}}),
    ("products deleted", rows("catalog", lambda frame: frame.iloc[1:]),
     {"no_landed_row_is_lost": {"fewer_than_declared"}, "every_product_exists": {"unknown_reference"},
      ROLLUP_OFF: {"wrong_value"}}),
    ("orders invented", rows("source_orders", invent),
     {"no_landed_row_is_lost": {"more_than_declared"}, ROLLUP_OFF: {"wrong_value"}}),
    ("batch ids nulled", cells("source_orders", "batch_id", dict.fromkeys(range(24))),
     {CONTRACT: {"missing_value"}, "orders_have_no_missing_values": {"missing_value"},
      "no_landed_row_is_lost": {"fewer_than_declared", "row_of_no_batch"}}),
    ("order ids nulled", cells("source_orders", "order_id", {0: None}),
     {CONTRACT: {"missing_value"}, "orders_have_no_missing_values": {"missing_value"},
      "no_landed_row_is_lost": {"fewer_than_declared"}}),
    ("an order covered by a copy", rows("source_orders", lambda frame: pd.concat([frame.iloc[1:], frame.iloc[[1]]])),
     {CONTRACT: {"duplicate_key"}, "order_ids_are_unique": {"duplicate_key"},
      "no_landed_row_is_lost": {"fewer_than_declared"}, ROLLUP_OFF: {"wrong_value"}}),
    ("the joined column renamed", rename("source_orders", product_id="sku"),
     {CONTRACT: {"missing_column"}, "orders_have_no_missing_values": {"missing_column"},
      "every_product_exists": {"missing_column"}, ROLLUP_OFF: {"cannot_recompute"}}),
    ("the column it is joined to renamed", rename("catalog", product_id="sku"),
     {"catalog_meets_its_contract": {"missing_column"}, "products_have_no_missing_values": {"missing_column"},
      "product_ids_are_unique": {"missing_column"}, "every_product_exists": {"missing_column"},
      "no_landed_row_is_lost": {"missing_column"}, ROLLUP_OFF: {"cannot_recompute"}}),
    ("batch ids renamed", rename("source_orders", batch_id="load"),
     {CONTRACT: {"missing_column"}, "orders_have_no_missing_values": {"missing_column"},
      "no_landed_row_is_lost": {"missing_column"}}),
    ("the joined column as text", cells("source_orders", "product_id", {}, "string"),
     {CONTRACT: {"wrong_type"}, "every_product_exists": {"wrong_type"}, ROLLUP_OFF: {"cannot_recompute"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "expected"), [d[1:] for d in DEFECTS + EXPLOITS], ids=[d[0] for d in DEFECTS + EXPLOITS]
)
def test_a_defect_is_caught_by_the_facts_that_name_it(
    damage: Callable[[Tables], None], expected: dict[str, set[str]]
) -> None:
    tables = clean_tables()
    damage(tables)
    found = failing(check_context(tables))
    assert {name: set(outcome.counts) for name, outcome in found.items()} == expected
    assert all(CHECKS[name].blocking and CHECKS[name].severity == "error" for name in found)


@pytest.mark.parametrize(
    ("damage"), [d[1] for d in EXPLOITS if "text" not in d[0]], ids=[d[0] for d in EXPLOITS if "text" not in d[0]]
)
def test_an_exploit_fails_an_audit_too(damage: Callable[[Tables], None]) -> None:
    tables = clean_tables()
    damage(tables)
    audits = {name: check for name, check in CHECKS.items() if check.kind == "audit"}
    assert failing(check_context(tables), audits)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pending": ("t04", "t05")}, {"every_batch_is_loaded": {"pending_batch": 2}}),
        ({"stale": frozenset({"hourly_rollup"})}, {"derived_tables_are_fresh": {"stale": 1}}),
        ({"landed": {"t01": 8, "t02": 8, "t03": 8, "t04": 3}}, {"no_landed_row_is_lost": {"fewer_than_declared": 3}}),
        ({"landed": {"t01": 8, "t02": 6, "t03": 10}},
         {"no_landed_row_is_lost": {"more_than_declared": 2, "fewer_than_declared": 2}}),
        ({"landed": {"t01": 8, "t02": 8}}, {"no_landed_row_is_lost": {"row_of_unlanded_batch": 8}}),
        ({"declared": {}}, {"no_landed_row_is_lost": {"undeclared_feed": 1}}),
        ({"landed": {}},
         {"no_landed_row_is_lost": {"row_of_unlanded_batch": 24}, "every_batch_is_loaded": {"no_batch": 1}}),
    ],
)  # fmt: skip
def test_what_landed_and_what_is_stale_is_held_against_the_tables(
    changes: dict[str, Any], expected: dict[str, dict[str, int]]
) -> None:
    assert {name: dict(outcome.counts) for name, outcome in failing(check_context(**changes)).items()} == expected


def test_counts_are_told_against_what_the_manifest_declares_and_no_row_is_named() -> None:
    counted = CHECKS["no_landed_row_is_lost"]
    assert "declared" in counted.description and "landing manifest" in counted.description
    outcome = counted.evaluate(check_context(landed={"t01": 8, "t02": 6, "t03": 8}))
    assert outcome.detail == "order_id: 2 more_than_declared (t02: 8 distinct order_id, 6 rows declared)"
    (case,) = outcome.failures
    assert (case["index"], case["value"]) == (None, "t02: 8 distinct order_id, 6 rows declared")
    # Nor is any row an offender for being one too many: who has the manifest cannot say which.
    assert all(not each.marked for each in counted.find(check_context(landed={"t01": 8, "t02": 6, "t03": 8})))


# --- hostile frames ---------------------------------------------------------------------------------------------------


def hostile(frame: pd.DataFrame, table: Table) -> dict[str, pd.DataFrame]:
    n = len(frame)
    return {
        "empty": empty(table),
        "no columns": pd.DataFrame(),
        "no columns, some rows": pd.DataFrame(index=range(3)),
        "all null": pd.DataFrame({name: pd.Series([None] * n, dtype=frame[name].dtype) for name in frame}),
        "null type": pd.DataFrame({name: pd.Series([None] * n, dtype=pd.ArrowDtype(pyarrow.null())) for name in frame}),
        "all text": frame.astype({name: ARROW["string"] for name in frame}),
        "objects": pd.DataFrame({name: [[index, None] for index in range(n)] for name in frame}),
        "numpy": frame.astype(object).where(frame.notna(), None).infer_objects(),
        "huge strings": pd.DataFrame({name: pd.Series(["x" * 100_000] * n, dtype=ARROW["string"]) for name in frame}),
        "extreme numbers": pd.DataFrame({name: as_type(pd.Series([2**63 - 1, -(2**63)]), "int64") for name in frame}),
        "not finite": pd.DataFrame({name: as_type(pd.Series([np.inf, -np.inf, 0.0]), "float64") for name in frame}),
        "every column twice": pd.concat([frame, frame], axis=1),
        "numbers for names": frame.set_axis(range(len(frame.columns)), axis=1),
        "odd index": frame.set_axis(["same"] * n, axis=0).iloc[:-1],
    }


KINDS = tuple(hostile(clean_tables()["catalog"], CATALOG))


@pytest.mark.parametrize("table", TASK.table_names)
@pytest.mark.parametrize("kind", [*KINDS, "missing"])
def test_no_check_raises_or_lets_a_hostile_table_pass(table: str, kind: str) -> None:
    tables = clean_tables()
    frame = tables.pop(table)
    if kind != "missing":
        tables[table] = hostile(frame, TASK.table(table))[kind]
    found = failing(check_context(tables), {n: c for n, c in CHECKS.items() if c.kind != "audit" or c.table == table})
    assert not any("check_error" in outcome.counts for outcome in found.values()), found
    mine = {name for name, check in CHECKS.items() if check.table == table}
    if kind in ("empty", "no columns", "no columns, some rows", "missing"):
        assert mine - set(found) <= {"every_batch_is_loaded"} | (
            {"derived_tables_are_fresh"} if kind != "missing" else set()
        )
    assert mine & set(found)
    json.dumps(
        [[dict(outcome.counts), outcome.failures, outcome.detail] for outcome in found.values()], allow_nan=False
    )


def test_an_infinite_amount_is_out_of_range_even_without_a_maximum() -> None:
    frame = canonical(clean_tables()["hourly_rollup"], ROLLUP).copy()
    tables = {"hourly_rollup": frame}
    put(tables, "hourly_rollup", "gross_revenue", {0: float("inf")})
    (violation,) = contract_breaches(tables["hourly_rollup"], ROLLUP)
    assert (violation.column, violation.reason, violation.cases[0]["value"]) == ("gross_revenue", "out_of_range", "inf")
