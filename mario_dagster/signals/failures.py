"""What has failed lately, read from the event log: failed steps of runs, and failed asset checks.

In: a Dagster instance, looked at again and again. Out: failures since the newest publication, newest first, and how
often each failed. Only what is new since the last look is read; what is kept is a cache of the log and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mario_dagster.assets.jobs import GRADE
from mario_dagster.checks.outcome import CheckFailure
from mario_dagster.runtime.instance import SandboxInstance, plain_error
from mario_dagster.runtime.queries import (
    CheckOutcome,
    StepFailure,
    check_outcomes_since,
    failed_checks_of,
    last_event_id,
    newest_publication,
    newest_step_failures,
    step_failures_of,
)

from .causes import cause


@dataclass(frozen=True)
class Failure:
    """One failure: what failed (a check, or a job's step), on which table, and why, in words without ids or times.

    Args:
        content: for an audit, what names the content that it looked at.
        found: for an audit, what it found, as data.
    """

    place: int
    name: str
    table: str
    text: str
    content: str = ""
    found: tuple[CheckFailure, ...] = ()


class FailureLog:
    """The failures of one instance, as of the last `update()`."""

    def __init__(self, instance: SandboxInstance):
        self._instance = instance
        self._seen = 0
        self._runs: list[Failure] = []
        self._failing: dict[tuple[str, str], Failure] = {}
        self._counts: Counter[str] = Counter()

    def update(self) -> None:
        """Read what the event log has gained. What failed before the newest publication was mended: it is left out."""
        database = self._instance.database
        published = newest_publication(database, self._seen)
        if published:
            self._runs.clear()
            self._failing.clear()
            self._counts.clear()
        since = max(self._seen, published)
        steps = newest_step_failures(database, since)
        checks = check_outcomes_since(database, since)
        self._seen = last_event_id(database)
        for step in steps:
            self._note_step(step)
        for check in checks:
            self._note_check(check)

    def newest(self, limit: int = 5) -> tuple[str, ...]:
        """The newest failures in words: runs that failed, and checks that failed when last evaluated."""
        failures = sorted([*self._runs, *self._failing.values()], key=lambda each: -each.place)
        return tuple(dict.fromkeys(each.text for each in failures))[:limit]

    def audited(self, content: str) -> tuple[CheckFailure, ...]:
        """What the newest audits found in this content, by table; nothing where they looked at other content."""
        audits = sorted(self._failing.items())
        return tuple(
            found for _, failure in audits if content and failure.content == content for found in failure.found
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each check or job has failed since the newest publication, by name."""
        return dict(sorted(self._counts.items()))

    def _note_step(self, failure: StepFailure) -> None:
        job, told = failure.entry.job_name, step_failure(self._instance, failure)
        if told is not None:
            self._runs.append(Failure(failure.event_id, str(job), "", told))
            self._counts[f"run:{job}"] += 1

    def _note_check(self, outcome: CheckOutcome) -> None:
        table, name = outcome.asset.path[-1], outcome.check
        self._failing.pop((table, name), None)
        if outcome.passed or name == GRADE:
            return
        text = f"{table}: check {name} failed: {outcome.description or 'failed'}"
        content, found = str(outcome.audited.get("content", "")), outcome.audited.get("failures", ())
        self._failing[table, name] = Failure(
            outcome.event_id, name, table, text, content, tuple(CheckFailure(**fields) for fields in found)
        )
        self._counts[name] += 1


def why_failed(instance: SandboxInstance, run_id: str) -> str:
    """Why a run failed, in words; empty where none of its steps did."""
    return "; ".join(_why(instance, failure) or "" for failure in step_failures_of(instance.database, run_id))


def step_failure(instance: SandboxInstance, failure: StepFailure) -> str | None:
    """Which run a step failed in, and why, in a player's words; None where the event does not tell."""
    why = _why(instance, failure)
    return None if why is None else f"run {failure.entry.job_name} failed: {why}"


def _why(instance: SandboxInstance, failure: StepFailure) -> str | None:
    entry, event = failure.entry, failure.entry.dagster_event
    if event is None:
        return None
    failed = failed_checks_of(instance.database, entry.run_id)
    denied = {table: [name for name in names if name != GRADE] for table, names in failed.items()}
    return cause(str(entry.step_key), plain_error(event.step_failure_data.error), denied)
