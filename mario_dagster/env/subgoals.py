"""How far a recovery has come: each subgoal of a task as a fact about the present signals.

In: a task and its signals. Out: which subgoals hold, which one is next, and the same as one short word. Subgoals are
reported and never enforced: whoever recovers in another order passes them in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mario_dagster.catalog import Task

if TYPE_CHECKING:
    from mario_dagster.sandbox.signals import Signals

FRESH_MINUTES = 30.0

Predicate = Callable[[Task, "Signals"], bool]


@dataclass(frozen=True)
class Progress:
    """Subgoals in order, with whether each holds now."""

    reached: Mapping[str, bool]

    @property
    def active(self) -> str:
        """The first one that does not hold; empty when all do, or there are none."""
        return next((name for name, holds in self.reached.items() if not holds), "")

    @property
    def machine_state(self) -> str:
        """`s2/6:replay_late_batches`: how many hold, of how many, and which is next."""
        if not self.reached:
            return ""
        return f"s{sum(self.reached.values())}/{len(self.reached)}:{self.active or 'done'}"


def progress(task: Task, signals: Signals) -> Progress:
    """Which subgoals of the task hold. One that no predicate is known for holds once the task is published."""
    return Progress({name: _predicate(task, name)(task, signals) for name in task.subgoals})


def _predicate(task: Task, name: str) -> Predicate:
    """What a subgoal is reached by; one called `repair_` and a table's name, by that table."""
    if (table := name.removeprefix("repair_")) != name and table in task.table_names:
        return _clean([table])
    return _PREDICATES.get(name, _published)


def _published(task: Task, signals: Signals) -> bool:
    return signals.committed == "published"


def _schema_reconciled(task: Task, signals: Signals) -> bool:
    reports = [signals.reports.get(table.name) for table in task.tables]
    return all(report is not None and not report.missing_expected_columns for report in reports)


def _clean(names: Iterable[str]) -> Predicate:
    """These tables meet their contracts: nothing that their own rows could show is wrong with them."""
    wanted = tuple(names)

    def holds(task: Task, signals: Signals) -> bool:
        return all(name in signals.reports and not signals.reports[name].counts for name in wanted)

    return holds


def _sources_clean(task: Task, signals: Signals) -> bool:
    return _clean(table.name for table in task.tables if not table.derived)(task, signals)


def _main_clean(task: Task, signals: Signals) -> bool:
    return _clean([task.main_table.name])(task, signals)


def _nothing_pending(task: Task, signals: Signals) -> bool:
    return not signals.pending_batches


def _enough_workers(task: Task, signals: Signals) -> bool:
    return not signals.pending_batches or signals.resource_level >= signals.required_resource_level


def _derived_right(task: Task, signals: Signals) -> bool:
    """Derived tables are what their sources add up to, and Dagster calls none of them stale."""
    derived = [table.name for table in task.derived_tables]
    return not signals.downstream_stale and _clean(derived)(task, signals) and _reconciled(task, signals)


def _reconciled(task: Task, signals: Signals) -> bool:
    names = [name for name in signals.check_outcomes if "reconcile" in name or "totals_match" in name]
    return all(signals.check_outcomes[name].passed for name in names)


def _fresh(task: Task, signals: Signals) -> bool:
    return signals.freshness_lag_minutes <= FRESH_MINUTES and not signals.downstream_stale


_PREDICATES: Mapping[str, Predicate] = {
    # task 3
    "restore_dependency_consistency": _reconciled,
    "commit_pipeline": _published,
    # task 4
    "normalize_orders_stream": _main_clean,
    "scale_resources_if_needed": _enough_workers,
    "load_incremental_backlog": _nothing_pending,
    "refresh_daily_summary": _derived_right,
    "commit_recovery": _published,
    # task 5
    "reconcile_schema_aliases": _schema_reconciled,
    "repair_catalog_and_source_quality": _sources_clean,
    "replay_late_batches": _nothing_pending,
    "refresh_temporal_rollup": _derived_right,
    "meet_freshness_sla": _fresh,
    "commit_temporal_pipeline": _published,
}
