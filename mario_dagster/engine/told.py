"""What people are told in Dagster's UI of a pipeline between its runs.

In: a pipeline and how it stands. Out: events in its instance that belong to no run. A run judges the table that it
writes; whether tables still add up, and how fresh they are, changes with it and is judged by nobody: so checks,
freshness and the incident's page are reported as the snapshot has them, which is what the player is told. Whoever plays
reads none of it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from mario_dagster.assets.incident import incident_key
from mario_dagster.assets.metadata import check_result, fit_result
from mario_dagster.checks.facts import checks_for
from mario_dagster.core.task import Task
from mario_dagster.runtime import runless
from mario_dagster.runtime.queries import Judged, freshness_states, judged, newest_materializations
from mario_dagster.signals.signals import Signals
from mario_dagster.tables.load import table_name

from .pipeline import Pipeline
from .snapshot import Snapshot


def tell(pipeline: Pipeline, snapshot: Snapshot, page: Mapping[str, Any]) -> None:
    """Report how a pipeline stands, in the transaction that is open.

    Args:
        page: metadata of the incident's page.
    """
    _tell_checks(pipeline, snapshot.signals)
    _tell_freshness(pipeline, snapshot.signals)
    runless.report_page(pipeline.instance, incident_key(pipeline.task), page)


def _tell_checks(pipeline: Pipeline, signals: Signals) -> None:
    """Report each check of which something else was last said, or nothing since its table was written."""
    task, database = pipeline.task, pipeline.instance.database
    said, newest = judged(database), newest_materializations(database)
    for table, name, passed, detail in _standing(task, signals):
        key = table_name(task, table)
        of, before = newest.get(key), said.get((key, name))
        if of is not None and before != Judged(passed, detail or None, of.event_id):
            runless.report_check(pipeline.instance, _result(pipeline, signals, table, name), of)


def _standing(task: Task, signals: Signals) -> Iterator[tuple[str, str, bool, str]]:
    """Each check but the audits: its table, its name, whether it passes, and why it does not, in words."""
    outcomes = signals.check_outcomes
    for check in checks_for(task):
        if check.name in outcomes:
            outcome = outcomes[check.name]
            yield check.table, check.name, outcome.passed, outcome.detail
    for table in task.tables:
        fit = fit_result(task, table, outcomes)
        yield table.name, str(fit.check_name), fit.passed, fit.description or ""


def _result(pipeline: Pipeline, signals: Signals, table: str, name: str) -> dg.AssetCheckResult:
    task, outcomes = pipeline.task, signals.check_outcomes
    if name not in outcomes:
        return fit_result(task, task.table(table), outcomes)
    check = next(check for check in checks_for(task) if check.name == name)
    return check_result(task, check, outcomes[name], _frames(pipeline, table))


def _frames(pipeline: Pipeline, table: str) -> Mapping[str, pd.DataFrame]:
    name = table_name(pipeline.task, table)
    return {table: pipeline.workspace.lake.read(name).frame} if pipeline.workspace.lake.exists(name) else {}


def _tell_freshness(pipeline: Pipeline, signals: Signals) -> None:
    """Report how fresh derived tables are, on the incident's clock, which no daemon knows."""
    task, before = pipeline.task, freshness_states(pipeline.instance.database)
    for table in task.derived_tables:
        key = dg.AssetKey([task.slug, table.name])
        state = freshness(task, signals.freshness_lag_minutes, table.name in signals.stale_tables)
        runless.report_freshness(pipeline.instance, key, before.get(key.to_user_string()), state)


def freshness(task: Task, lag_minutes: float, stale: bool) -> runless.Freshness:
    """What a task's freshness policy says of a derived table; a stale one never passes."""
    if lag_minutes >= task.freshness.window:
        return "FAIL"
    return "WARN" if stale or lag_minutes >= task.freshness.warns_after else "PASS"
