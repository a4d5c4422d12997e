"""How far a recovery has come: each subgoal of a task as a fact about the present signals.

In: a task and its signals. Out: which subgoals hold, which one is next, and the same as one short word. Subgoals are
reported and never enforced: whoever recovers in another order passes them in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mario_dagster.core.task import CLEAN, Task

if TYPE_CHECKING:
    from mario_dagster.checks.outcome import CheckFailure
    from mario_dagster.signals.signals import Signals

PUBLISHED = "published"

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
    """Which subgoals of the task hold.

    One that a failing check belongs to does not, whatever else it is reached by; a failure that belongs to none is the
    last one's before publishing. So nothing says that it is time to publish while a check fails.
    """
    reached = {name: _predicate(fact)(task, signals) for name, fact in task.subgoals.items()}
    before = [name for name, fact in task.subgoals.items() if fact != PUBLISHED]
    for failure in signals.check_failures:
        concerned = [name for name in before if _belongs(failure, task.subgoals[name], task)] or before[-1:]
        reached.update(dict.fromkeys(concerned, False))
    return Progress(reached)


def _belongs(failure: CheckFailure, fact: str, task: Task) -> bool:
    """Whether what a check found is what a subgoal of this fact is there to mend."""
    kind, _, table = fact.partition(":")
    if failure.reason in ("pending_batch", "no_batch"):
        return fact == "nothing_pending"
    if task.table(failure.table).derived:
        return fact in ("derived_tables_right", "totals_reconciled") or (fact == "fresh" and failure.reason == "stale")
    if kind == CLEAN:
        return failure.table == table
    return fact == "source_tables_clean" or (fact == "main_table_clean" and failure.table == task.main_table.name)


def _predicate(fact: str) -> Predicate:
    """What a fact of `core.task.FACTS` is seen by."""
    kind, _, table = fact.partition(":")
    return _clean([table]) if kind == CLEAN else _PREDICATES[fact]


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
    return task.freshness.is_met(signals.freshness_lag_minutes) and not signals.downstream_stale


_PREDICATES: Mapping[str, Predicate] = {
    "schema_reconciled": _schema_reconciled,
    "main_table_clean": _main_clean,
    "source_tables_clean": _sources_clean,
    "enough_workers": _enough_workers,
    "nothing_pending": _nothing_pending,
    "derived_tables_right": _derived_right,
    "totals_reconciled": _reconciled,
    "fresh": _fresh,
    PUBLISHED: _published,
}
