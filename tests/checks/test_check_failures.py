"""Why checks fail, as data: nothing that a player has to read out of a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mario_dagster.checks.facts import checks_for
from mario_dagster.checks.outcome import CheckContext
from mario_dagster.checks.reasons import REASONS
from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.registry import task, tasks
from mario_dagster.env.episode import Episode
from mario_dagster.env.models import CheckFailure, MarioObservation
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home

Seen = Mapping[str, Any]


def started(folder: Path, slug: str, seed: int = 5, **options: Any) -> Episode:
    return Episode.start(reset_options({"task": slug, "seed": seed, **options}), home=Home(folder))


def of(seen: Seen, check: str) -> list[Seen]:
    return [failure for failure in seen["check_failures"] if failure["check"] == check]


@pytest.mark.parametrize("slug", [each.slug for each in tasks()])
def test_every_failing_check_says_why_in_codes_that_are_documented(tmp_path: Path, slug: str) -> None:
    episode, found = started(tmp_path, slug), task(slug)
    audits = {check.name for check in checks_for(found) if check.kind == "audit"}
    columns: dict[str, set[str]] = {table.name: set(table.column_names) for table in found.tables}
    for move in (None, Action(ActionId.VALIDATE_SCHEMA), Action(ActionId.INSPECT_SCHEMA)):
        seen = episode.reply().observation if move is None else episode.step(move).observation
        failures = seen["check_failures"]
        assert {failure["check"] for failure in failures} - audits == set(seen["failing_checks"])
        for failure in failures:
            assert failure["reason"] in REASONS or failure["check"] in audits
            assert failure["column"] == "" or failure["column"] in columns[failure["table"]]
            assert failure["count"] > 0
        wire = MarioObservation(**seen).check_failures
        assert [failure.model_dump() for failure in wire] == failures
        assert all(isinstance(failure, CheckFailure) for failure in wire)
    episode.close()


def test_what_an_audit_found_is_told_until_the_tables_are_others(tmp_path: Path) -> None:
    episode = started(tmp_path, "ingestion")
    audit = "customers_pass_audit"
    assert not of(episode.reply().observation, audit)
    seen = episode.step(Action(ActionId.VALIDATE_SCHEMA)).observation
    failures = of(seen, audit)
    assert failures and all(failure["table"] == "customers" for failure in failures)
    # Looks change nothing, and a process that comes later reads the same from the event log.
    assert of(episode.step(Action(ActionId.SAMPLE_DATA)).observation, audit) == failures
    again = Episode.resume(episode.id, Home(tmp_path))
    assert of(again.reply().observation, audit) == failures
    again.close()
    seen = episode.step(Action(ActionId.RENAME_COLUMN, seen["observed_columns"][0], "renamed")).observation
    assert not of(seen, audit)
    episode.close()


def test_the_table_at_fault_is_named_not_the_one_that_the_check_stands_on(tmp_path: Path) -> None:
    episode, found = started(tmp_path, "referential"), task("referential")
    right = {name: episode.sandbox.truth_store.reference(name, ()) for name in found.table_names}
    episode.close()
    declared = {str(table.feed): len(right[table.name]) for table in found.tables if not table.derived}
    tables = {**right, "customers": right["customers"].iloc[2:].reset_index(drop=True)}
    looked_at = CheckContext(found, tables, landed={}, pending=(), stale=frozenset(), declared=declared)
    counted = next(check for check in checks_for(found) if check.name == "no_landed_row_is_lost")
    failures = counted.evaluate(looked_at).failures_of(counted.name, counted.table)
    assert counted.table == "orders"
    assert [(each.table, each.column, each.count) for each in failures] == [("customers", "customer_id", 2)]
