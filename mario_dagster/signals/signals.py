"""What a player may know of a pipeline, from checks, tables, manifest and the Dagster instance. Never the truth store.

In: a workspace, its instance, its asset graph, its failure log. Out: `Signals`, the frozen values that observations are
written from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from mario_dagster.assets.publish import newest_release
from mario_dagster.checks.context import Backlog, gather
from mario_dagster.checks.contract import ContractReport
from mario_dagster.checks.facts import Check, checks_for
from mario_dagster.checks.outcome import CheckFailure, Outcome
from mario_dagster.core.run_tags import PHASE
from mario_dagster.core.task import Table, Task
from mario_dagster.runtime.instance import SandboxInstance
from mario_dagster.runtime.queries import newest_run_status
from mario_dagster.tables.content_cache import CONTENT_CACHE
from mario_dagster.tables.workspace import Workspace

from .alias_hints import alias_hints
from .failures import FailureLog
from .freshness import freshness_lag_minutes, queue_backlog_age_minutes, stale

Committed = Literal["published", "rejected"]
# How the checks alone judge a pipeline: facts that hold, cells that are sound, batches that are loaded, tables in time.
HEALTH_WEIGHTS: Mapping[str, float] = {"facts": 0.40, "tables": 0.30, "backlog": 0.20, "freshness": 0.10}


@dataclass(frozen=True)
class Signals:
    """The state of a pipeline as its checks, tables and instance tell it.

    Args:
        reports: contract report of each stored table.
        check_outcomes: check -> what it found, for every check but the audits, which only a run makes.
        check_failures: why each of them fails now, as data; and what audits found in the tables as they are now.
        unsettled: checks of tables that batches are missing from, or of what is computed from those: a batch may still
            bring what they are there to find.
        blocking_failures: blocking checks that would fail now.
        queue_backlog_age_minutes, freshness_lag_minutes: minutes on the incident's clock.
        freshness_left: share of the task's freshness window that the lag leaves, 0 to 1.
        alias_hints: table -> drifted column -> contract column it probably is.
        dependency_health: table -> `healthy`, or what is wrong with it and upstream of it, in words.
        table_health: table -> share of its cells that the contract finds nothing wrong with, 0 to 1.
        committed: how the commit job's last run since the incident ended; None while there was none.
    """

    reports: Mapping[str, ContractReport]
    check_outcomes: Mapping[str, Outcome]
    check_failures: tuple[CheckFailure, ...]
    unsettled: frozenset[str]
    blocking_failures: tuple[str, ...]
    pending_batches: tuple[str, ...]
    loaded_batches: tuple[str, ...]
    backlog_rows: int
    queue_backlog_age_minutes: float
    freshness_lag_minutes: float
    freshness_left: float
    downstream_stale: bool
    stale_tables: tuple[str, ...]
    resource_level: int
    required_resource_level: int
    recent_errors: tuple[str, ...]
    recent_failure_counters: Mapping[str, int]
    alias_hints: Mapping[str, Mapping[str, str]]
    dependency_health: Mapping[str, str]
    table_health: Mapping[str, float]
    drift_markers: tuple[str, ...]
    published: bool
    committed: Committed | None

    @property
    def commit_ready(self) -> bool:
        """Every blocking check would pass now. The audit, which only a run makes, still stands before publishing."""
        return not self.blocking_failures

    @property
    def health(self) -> float:
        """0 to 1, from checks alone: what shapes the reward where the truth must not.

        A check that is unsettled has not been passed: so loading a batch, which may show what was wrong with it all
        along, takes nothing away.
        """
        parts = {
            "facts": _share(each.passed and name not in self.unsettled for name, each in self.check_outcomes.items()),
            "tables": sum(self.table_health.values()) / max(1, len(self.table_health)),
            "backlog": len(self.loaded_batches) / max(1, len(self.loaded_batches) + len(self.pending_batches)),
            "freshness": self.freshness_left * (0.5 if self.downstream_stale else 1.0),
        }
        if not self.loaded_batches and not self.pending_batches:
            parts["backlog"] = 1.0
        return float(sum(HEALTH_WEIGHTS[name] * value for name, value in parts.items()))


def read_signals(
    workspace: Workspace, instance: SandboxInstance, task: Task, state: Backlog, graph: Any, failures: FailureLog
) -> Signals:
    """The signals of a pipeline as it stands."""
    failures.update()
    late, lag = stale(workspace, instance, task, graph), freshness_lag_minutes(workspace, task, state)
    check_context = gather(workspace, task, state, late)
    checks = [check for check in checks_for(task) if check.kind != "audit"]
    outcomes = {check.name: check.evaluate(check_context) for check in checks}
    reports = {name: check_context.report(name) for name in check_context.tables}
    hints = {
        name: _hints(task.table(name), frame, check_context.versions[name])
        for name, frame in check_context.tables.items()
    }
    failing = {
        table.name: [c.name for c in checks if c.table == table.name and not outcomes[c.name].passed]
        for table in task.tables
    }
    return Signals(
        reports=reports,
        check_outcomes=outcomes,
        check_failures=(
            *(failure for check in checks for failure in outcomes[check.name].failures_of(check.name, check.table)),
            *failures.audited(check_context.content),
        ),
        unsettled=_unsettled(task, checks, state),
        blocking_failures=tuple(check.name for check in checks if check.blocking and not outcomes[check.name].passed),
        pending_batches=tuple(each.batch for each in state.pending),
        loaded_batches=tuple(each.batch for each in state.loaded),
        backlog_rows=state.rows,
        queue_backlog_age_minutes=queue_backlog_age_minutes(state),
        freshness_lag_minutes=lag,
        freshness_left=task.freshness.left(lag),
        downstream_stale=bool(late),
        stale_tables=tuple(name for name in task.table_names if name in late),
        resource_level=state.workers,
        required_resource_level=state.required_workers if task.pool else 0,
        recent_errors=failures.newest(),
        recent_failure_counters=failures.counters,
        alias_hints=hints,
        dependency_health=_dependency_health(task, failing, late, state),
        table_health={table.name: table_health(table, reports.get(table.name)) for table in task.tables},
        drift_markers=_drift_markers(task, reports, hints),
        published=newest_release(workspace, task) is not None,
        committed=committed(instance, task),
    )


def _unsettled(task: Task, checks: Sequence[Check], state: Backlog) -> frozenset[str]:
    """Checks of tables that lack a batch, and of tables computed from those."""
    lacking = {table.name for table in task.tables if table.batched and state.pending}
    for table in task.derived_tables:
        if lacking.intersection(table.upstream):
            lacking.add(table.name)
    return frozenset(check.name for check in checks if check.table in lacking)


def _hints(table: Table, frame: pd.DataFrame, version: str) -> Mapping[str, str]:
    """Alias hints of a table; made once for each content that has a name."""
    if not version:
        return alias_hints(frame, table)
    return CONTENT_CACHE.get(("hints", table, version), lambda: alias_hints(frame, table))


def table_health(table: Table, report: ContractReport | None) -> float:
    """Share of a table's cells with which the contract and the outlier rule find nothing wrong, 0 to 1.

    A column that is missing, or in another type, counts as wrong from top to bottom.
    """
    if report is None or not report.rows:
        return 0.0
    bad = dict.fromkeys(table.column_names, 0.0)
    for violation in (*report.violations, *report.outliers):
        if violation.column in bad:
            whole = violation.reason in ("missing_column", "wrong_type")
            bad[violation.column] += 1.0 if whole else violation.count / report.rows
    return round(1.0 - sum(min(1.0, share) for share in bad.values()) / len(bad), 4)


def committed(instance: SandboxInstance, task: Task) -> Committed | None:
    """How the newest run of the commit job since the incident ended, whoever launched it."""
    status = newest_run_status(instance.database, f"{task.slug}_commit", untagged=PHASE)
    return None if status is None else "published" if status == "SUCCESS" else "rejected"


def _dependency_health(
    task: Task, failing: Mapping[str, list[str]], late: frozenset[str], state: Backlog
) -> Mapping[str, str]:
    words: dict[str, str] = {}
    for table in task.tables:
        parts = []
        if failing[table.name]:
            parts.append(f"fails {', '.join(failing[table.name])}")
        if table.batched and state.pending:
            parts.append(f"{len(state.pending)} batches pending")
        if table.name in late:
            parts.append("stale")
        upstream = [name for name in table.upstream if failing[name]]
        if upstream:
            parts.append(f"upstream failing: {', '.join(upstream)}")
        words[table.name] = "; ".join(parts) or "healthy"
    return words


def _drift_markers(
    task: Task, reports: Mapping[str, ContractReport], hints: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    """Schema drift in words: columns renamed, missing, or in another type."""
    markers: list[str] = []
    for table in task.tables:
        report = reports.get(table.name)
        if report is None:
            continue
        renamed = hints.get(table.name, {})
        markers += [f"{table.name}.{old} looks like {new}" for old, new in renamed.items()]
        markers += [
            f"{table.name}.{name} is missing"
            for name in report.missing_expected_columns
            if name not in renamed.values()
        ]
        markers += [
            f"{table.name}.{name} is {kinds['actual']}, not {kinds['expected']}"
            for name, kinds in report.schema_report.items()
            if name not in report.missing_expected_columns
        ]
    return tuple(markers)


def _share(flags: Any) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 1.0
