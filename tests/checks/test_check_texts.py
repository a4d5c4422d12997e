"""What checks say can be acted upon: which table, what is there, and what should be there instead."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mario_dagster.checks.context import gather
from mario_dagster.checks.facts import checks_for
from mario_dagster.checks.outcome import EXAMPLE_LENGTH, Outcome, Violation
from mario_dagster.checks.violation import case
from mario_dagster.core.action import Action
from mario_dagster.core.registry import tasks
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.load import stale_tables

# Codes that say nothing without what they were said of.
NEED_EVIDENCE = re.compile(r"\b(wrong_type|unexpected_order|cannot_recompute|stale|pending_batch|wrong_value|expect_\w+"
                           r"|outlier|out_of_range|bad_pattern|bad_category|not_a_number|not_canonical|duplicate_key)"
                           r"\b(?! \()")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def details(sandbox: Sandbox) -> Iterator[tuple[str, str, str]]:
    """Table, check and text of each check that fails now, audits among them."""
    task = sandbox.task
    context = gather(sandbox.workspace, task, sandbox.backlog(), stale_tables(sandbox.workspace, task))
    for check in checks_for(task):
        outcome = check.evaluate(context)
        if not outcome.passed:
            yield check.table, check.name, outcome.detail


@pytest.mark.parametrize("slug", [each.slug for each in tasks() if each.id <= 5])
def test_every_failure_shows_what_is_there_instead_of_what(home: Home, slug: str) -> None:
    with Sandbox.create(slug, seed=4, home=home) as sandbox:
        table, looks = sandbox.task.main_table.name, 0
        for step in [None, *(Action.from_dict(each) for each in sandbox.truth_store.solution)]:
            if step is not None and step.name == "inspect_schema":
                table = str(step.target_column)
            elif step is not None and step.name == "refresh_downstream_assets":
                sandbox.refresh()
            elif step is not None and 3 <= step.id <= 13:
                sandbox.repair(table, step)
            else:
                continue
            for _, name, text in details(sandbox):
                looks += 1
                assert not NEED_EVIDENCE.search(text), (name, text)
                assert len(text) < 5 * (100 + 3 * EXAMPLE_LENGTH), (name, text)
        assert looks > 3


def test_another_tables_fault_is_named_by_its_table(home: Home) -> None:
    with Sandbox.create("referential", seed=0, home=home) as sandbox:
        said = {name: text for _, name, text in details(sandbox)}
    pairs = [part for text in said.values() for part in text.split("; ")]
    assert any(re.match(r"customers\.\w+: ", part) for part in pairs)
    for text in said.values():
        parts = [part.partition(": ")[::2] for part in text.split("; ")]
        assert len(set(parts)) == len(parts), f"the same twice, and nothing tells of which table: {text}"


def test_audits_say_what_was_expected(home: Home) -> None:
    with Sandbox.create("ingestion", seed=4, home=home) as sandbox:
        for step in (Action.from_dict(each) for each in sandbox.truth_store.solution):
            if 3 <= step.id <= 13 and step.name != "remove_duplicates":
                sandbox.repair("customers", step)
        said = {name: text for _, name, text in details(sandbox)}
    assert re.search(r"^customers: expect_table_row_count_to_equal \(\d+, not 200\)", said["customers_pass_audit"])


def test_examples_are_few_short_and_of_the_cells() -> None:
    long = tuple(case("note", "bad_pattern", row, "x" * 200 + str(row)) for row in range(9))
    text = Outcome.of([Violation("note", "bad_pattern", 9, long)], "orders").detail
    assert text.startswith("note: 9 bad_pattern ('xxx") and len(text) < 120
    assert Outcome.of([Violation.whole("*", "no_rows")], "orders").detail == "*: no_rows"
    off = Violation.whole("order_id", "wrong_type", "string, not int64", table="customers")
    assert Outcome.of([off], "orders").detail == "customers.order_id: wrong_type (string, not int64)"
    assert Outcome.of([off], "customers").detail == "order_id: wrong_type (string, not int64)"
    reason = "more_than_declared"
    counted = Violation("order_id", reason, 4, (case("order_id", reason, None, "t08: 16, 15 declared"),))
    assert Outcome.of([counted], "orders").detail == "order_id: 4 more_than_declared (t08: 16, 15 declared)"
