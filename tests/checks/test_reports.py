"""What a contract's report and an audit tell of a table: which cells, why, and how many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pandera.pandas as pa
import pytest

from mario_dagster.checks.contract import contract_report, contract_schema
from mario_dagster.checks.facts import checks_for
from mario_dagster.core.task import Column, Table
from mario_dagster.tables.frames import canonical, empty

from .temporal_tables import (
    CHECKS,
    CONTRACT,
    ORDERS,
    ROLLUP_OFF,
    TASK,
    Tables,
    cells,
    check_context,
    clean_tables,
    failing,
    put,
    rows,
    scaled,
)

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
