"""Facts hold on clean tables, and each defect is caught by the facts that name it and by no others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
import pytest

from mario_dagster.checks.contract import contract_breaches, contract_report, contract_schema
from mario_dagster.checks.facts import Check, checks_for
from mario_dagster.checks.outcome import CheckContext, Outcome
from mario_dagster.core.registry import task
from mario_dagster.core.task import Column, ColumnType, Table
from mario_dagster.tables.frames import ARROW, as_type, canonical, empty
from mario_dagster.tables.spec import clean_data_of
from mario_dagster.tasks.temporal.transforms import hourly_rollup

TASK = task("temporal")
ORDERS, CATALOG, ROLLUP = TASK.tables
CHECKS = {check.name: check for check in checks_for(TASK)}
FACTS = {name: check for name, check in CHECKS.items() if check.kind != "audit"}
Tables = dict[str, pd.DataFrame]


def clean_tables() -> Tables:
    prices = [9.5, 12.0, 14.99, 16.25, 11.1]
    catalog = pd.DataFrame(
        {
            "product_id": range(11, 16),
            "product_name": ["Café au lait", "Desk lamp", "Hose", "Router", "Toy car"],
            "unit_price": prices,
            "category": ["kitchen", "office", "garden", "iot", "toys"],
        }
    )
    start = pd.Timestamp("2026-03-01T08:05:00Z")
    rows = [
        (100 + i, f"t{1 + i // 8:02d}", 11 + i % 5, 1 + i % 4, start + pd.Timedelta(minutes=11 * i), prices[i % 5])
        for i in range(24)
    ]
    orders = pd.DataFrame(rows, columns=list(ORDERS.column_names))
    orders["gross_revenue"] = (orders["gross_revenue"] * orders["quantity"]).round(2)
    orders, catalog = canonical(orders, ORDERS), canonical(catalog, CATALOG)
    return {"source_orders": orders, "catalog": catalog, "hourly_rollup": hourly_rollup(orders, catalog)}


def check_context(tables: Tables | None = None, **changes: Any) -> CheckContext:
    found = CheckContext(
        task=TASK,
        tables=clean_tables() if tables is None else tables,
        landed={"t01": 8, "t02": 8, "t03": 8},
        pending=(),
        stale=frozenset(),
        declared={"catalog": 5},
    )
    return replace(found, **changes)


def failing(found: CheckContext, checks: dict[str, Check] = FACTS) -> dict[str, Outcome]:
    outcomes = {name: check.evaluate(found) for name, check in checks.items()}
    return {name: outcome for name, outcome in outcomes.items() if not outcome.passed}


def put(tables: Tables, table: str, column: str, values: dict[int, Any], kind: ColumnType | None = None) -> None:
    """Overwrite cells; `kind` changes the column's type."""
    frame = tables[table].copy()
    arrow = ARROW[kind].pyarrow_dtype if kind else pyarrow.array(frame[column].array).type
    cells = [values.get(index, cell) for index, cell in enumerate(frame[column].astype(object))]
    cells = [None if cell is None or cell is pd.NA else str(cell) if kind == "string" else cell for cell in cells]
    frame[column] = pd.Series(pd.arrays.ArrowExtensionArray(pyarrow.array(cells, arrow)), index=frame.index)
    tables[table] = frame


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


# --- defects ----------------------------------------------------------------------------------------------------------

CONTRACT, ROLLUP_OFF = "source_orders_meets_its_contract", "rollup_reconciles_with_source"
Defect = tuple[str, Callable[[Tables], None], dict[str, set[str]]]


def rename(table: str, **names: str) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: tables[table].rename(columns=names)})


def rows(table: str, select: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: select(tables[table]).reset_index(drop=True)})


def cells(table: str, column: str, values: dict[int, Any], kind: ColumnType | None = None) -> Callable[[Tables], None]:
    return lambda tables: put(tables, table, column, values, kind)


def scaled(table: str, factor: float) -> Callable[[Tables], None]:
    return rows(table, lambda frame: frame.assign(gross_revenue=as_type(frame["gross_revenue"] * factor, "float64")))


def invent(frame: pd.DataFrame) -> pd.DataFrame:
    """One more order, of a plausible kind."""
    return pd.concat([frame, frame.head(1).assign(order_id=as_type(pd.Series([999]), "int64"))])


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
     {CONTRACT: {"bad_pattern"}, "no_landed_row_is_lost": {"lost_row", "row_of_unlanded_batch"}}),
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
     {"no_landed_row_is_lost": {"lost_row"}, ROLLUP_OFF: {"wrong_value"}}),
    ("a whole batch deleted", rows("source_orders", lambda frame: frame[frame["batch_id"] != "t02"]),
     {"no_landed_row_is_lost": {"lost_row"}, ROLLUP_OFF: {"wrong_value", "unfounded_row"}}),
    ("products deleted", rows("catalog", lambda frame: frame.iloc[1:]),
     {"no_landed_row_is_lost": {"lost_row"}, "every_product_exists": {"unknown_reference"},
      ROLLUP_OFF: {"wrong_value"}}),
    ("orders invented", rows("source_orders", invent),
     {"no_landed_row_is_lost": {"invented_row"}, ROLLUP_OFF: {"wrong_value"}}),
    ("batch ids nulled", cells("source_orders", "batch_id", dict.fromkeys(range(24))),
     {CONTRACT: {"missing_value"}, "orders_have_no_missing_values": {"missing_value"},
      "no_landed_row_is_lost": {"lost_row", "row_of_no_batch"}}),
    ("order ids nulled", cells("source_orders", "order_id", {0: None}),
     {CONTRACT: {"missing_value"}, "orders_have_no_missing_values": {"missing_value"},
      "no_landed_row_is_lost": {"lost_row"}}),
    ("an order covered by a copy", rows("source_orders", lambda frame: pd.concat([frame.iloc[1:], frame.iloc[[1]]])),
     {CONTRACT: {"duplicate_key"}, "order_ids_are_unique": {"duplicate_key"}, "no_landed_row_is_lost": {"lost_row"},
      ROLLUP_OFF: {"wrong_value"}}),
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
        ({"landed": {"t01": 8, "t02": 8, "t03": 8, "t04": 3}}, {"no_landed_row_is_lost": {"lost_row": 3}}),
        ({"landed": {"t01": 8, "t02": 6, "t03": 10}}, {"no_landed_row_is_lost": {"invented_row": 2, "lost_row": 2}}),
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


# --- contract and report ----------------------------------------------------------------------------------------------


def test_the_contract_is_one_cached_pandera_schema_a_table() -> None:
    schema = contract_schema(ORDERS)
    assert isinstance(schema, pa.DataFrameSchema) and contract_schema(ORDERS) is schema
    assert tuple(schema.columns) == ORDERS.column_names and schema.ordered
    assert schema.validate(clean_tables()["source_orders"], lazy=True) is not None
    with pytest.raises(pa.errors.SchemaErrors):
        schema.validate(empty(ORDERS), lazy=True)


def test_failure_cases_name_column_reason_row_and_value() -> None:
    tables = clean_tables()
    put(tables, "source_orders", "quantity", {2: None, 9: -1, 11: 999999})
    orders = tables["source_orders"].copy()
    report = contract_report(orders, ORDERS)
    assert dict(report.counts) == {"missing_value": 1, "out_of_range": 2}
    assert report.column_counts == {"quantity": {"missing_value": 1, "out_of_range": 2}}
    assert report.failures == (
        {"column": "quantity", "reason": "missing_value", "index": 2, "value": None},
        {"column": "quantity", "reason": "out_of_range", "index": 9, "value": -1},
        {"column": "quantity", "reason": "out_of_range", "index": 11, "value": 999999},
    )
    outcome = CHECKS[CONTRACT].evaluate(check_context(tables))
    assert outcome.failures == report.failures
    assert outcome.detail == "quantity: missing_value; quantity: 2 out_of_range (-1, 999999)"


def test_twenty_cases_are_shown_every_kind_before_more_of_the_same() -> None:
    tables = clean_tables()
    put(tables, "source_orders", "quantity", dict.fromkeys(range(24)))
    put(tables, "source_orders", "batch_id", {23: "?" * 5000})
    report = contract_report(tables["source_orders"], ORDERS)
    assert dict(report.counts) == {"bad_pattern": 1, "missing_value": 24}
    assert len(report.failures) == 20
    assert [each["reason"] for each in report.failures[:2]] == ["missing_value", "bad_pattern"]
    assert len(report.failures[1]["value"]) == 81


def test_a_report_tells_what_signals_need() -> None:
    tables = clean_tables()
    put(tables, "source_orders", "quantity", {0: None, 5: 50_000})
    put(tables, "source_orders", "event_ts", {0: None}, "string")
    orders = tables["source_orders"].rename(columns={"batch_id": "load"})
    orders = pd.concat([orders, orders.iloc[[3]]], ignore_index=True)
    report = contract_report(orders, ORDERS)
    assert report.rows == 25
    assert report.missing_rate == round(2 / (25 * 6), 6)
    assert report.duplicate_rate == round(1 / 25, 6)
    assert (report.type_violations, report.outlier_count, report.format_issues) == (1, 1, 24)
    assert report.schema_report == {
        "batch_id": {"expected": "string", "actual": "missing"},
        "event_ts": {"expected": "timestamp", "actual": "string"},
    }
    assert (report.missing_expected_columns, report.unexpected_columns) == (("batch_id",), ("load",))
    assert report.observed_columns == tuple(orders.columns)


def test_duplicates_are_told_by_whole_row_while_the_key_is_missing() -> None:
    orders = clean_tables()["source_orders"].rename(columns={"order_id": "number"})
    orders = pd.concat([orders, orders.iloc[[3, 4]]], ignore_index=True)
    assert contract_report(orders, ORDERS).duplicate_rate == round(2 / 26, 6)


def test_a_check_never_changes_the_tables() -> None:
    tables = clean_tables()
    before = {name: frame.copy() for name, frame in tables.items()}
    failing(check_context(tables), CHECKS)
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(frame, before[name])
        assert list(vars(frame)) == list(vars(before[name]))


def test_a_report_is_made_once_a_frame() -> None:
    found = check_context()
    assert found.report("catalog") is found.report("catalog")
    shorter = {**found.tables, "catalog": found.tables["catalog"].iloc[1:]}
    assert replace(found, tables=shorter).report("catalog").rows == 4


def test_the_first_differences_of_a_rollup_are_told_in_order() -> None:
    tables = clean_tables()
    tables["hourly_rollup"] = tables["hourly_rollup"].iloc[:1]
    outcome = CHECKS[ROLLUP_OFF].evaluate(check_context(tables))
    assert [each["value"] for each in outcome.failures] == [
        f"2026-03-01T{hour:02d}:00:00+00:00" for hour in range(9, 13)
    ]


def test_facts_of_any_task_come_from_its_catalogue() -> None:
    visits = Table(
        "visits", (Column("visit_id", "int64"), Column("day", "date"), Column("spend", "float64")), "visit_id", feed="v"
    )
    plain = replace(
        TASK, slug="clinic", tables=(visits,), pool=None, pipeline_spec="mario_dagster.tasks.events.pipeline:PIPELINE"
    )
    assert [check.name for check in checks_for(plain)] == [
        "visits_meets_its_contract",
        "visits_have_no_missing_values",
        "visit_ids_are_unique",
        "visits_times_are_canonical",
        "visits_amounts_are_plausible",
        "no_landed_row_is_lost",
        "visits_pass_audit",
    ]
    frame = canonical(
        pd.DataFrame(
            {"visit_id": [1, 2], "day": pd.to_datetime(["2026-01-01", "2026-01-02"]).date, "spend": [1.5, 2.0]}
        ),
        visits,
    )
    found = check_context({"visits": frame}, task=plain, landed={}, declared={"v": 2})
    assert all(check.evaluate(found).passed for check in checks_for(plain))


# --- audit ------------------------------------------------------------------------------------------------------------


def test_great_expectations_is_imported_only_where_an_audit_runs() -> None:
    code = "import sys, mario_dagster.checks.facts; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


AUDITED: list[tuple[str, Callable[[Tables], None], str, set[str]]] = [
    ("revenue in cents", scaled("source_orders", 100),
     "source_orders_pass_audit", {"expect_column_quantile_values_to_be_between"}),
    ("a category in capitals", cells("catalog", "category", {2: "GARDEN"}),
     "catalog_pass_audit", {"expect_column_distinct_values_to_be_in_set"}),
    ("an order of an unknown product", cells("source_orders", "product_id", {4: 77}),
     "source_orders_pass_audit", {"expect_column_distinct_values_to_be_in_set"}),
    ("an order loaded twice", rows("source_orders", lambda frame: pd.concat([frame, frame.iloc[[5]]])),
     "source_orders_pass_audit", {"expect_table_row_count_to_equal"}),
    ("a rollup without its last hour", rows("hourly_rollup", lambda frame: frame.iloc[:-1]), "hourly_rollup_pass_audit",
     {"expect_column_sum_to_be_between", "expect_column_max_to_be_between",
      "expect_column_unique_value_count_to_be_between"}),
    ("times as text", cells("source_orders", "event_ts", {}, "string"), "source_orders_pass_audit", {"wrong_type"}),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "audit", "reasons"), [a[1:] for a in AUDITED], ids=[a[0] for a in AUDITED])
def test_an_audit_names_the_expectations_that_failed(
    damage: Callable[[Tables], None], audit: str, reasons: set[str]
) -> None:
    tables = clean_tables()
    damage(tables)
    assert set(CHECKS[audit].evaluate(check_context(tables)).counts) == reasons


def test_a_few_filled_quantities_are_no_scandal() -> None:
    tables = clean_tables()
    put(tables, "source_orders", "quantity", {0: 3, 10: 2})
    assert CHECKS["source_orders_pass_audit"].evaluate(check_context(tables)).passed


def test_audits_in_many_threads_each_see_their_own_tables() -> None:
    good, tables = check_context(), clean_tables()
    rows("catalog", lambda frame: frame.iloc[1:])(tables)
    bad, audit = check_context(tables), CHECKS["catalog_pass_audit"]
    with ThreadPoolExecutor(4) as pool:
        passed = list(pool.map(lambda found: audit.evaluate(found).passed, [good, bad] * 8))
    assert passed == [True, False] * 8
