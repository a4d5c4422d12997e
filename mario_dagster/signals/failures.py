"""What has failed lately, read from the event log: failed steps of runs, and failed asset checks.

In: a Dagster instance, looked at again and again. Out: failures newest first, and how often each failed. Only what is
new since the last look is read; what is kept is a cache of the log and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from dagster import AssetKey, EventLogEntry
from dagster._serdes import deserialize_value

from mario_dagster.core.files import file_trouble
from mario_dagster.runtime.database import DATABASE
from mario_dagster.runtime.instance import SandboxInstance, plain_error

_NEW_STEPS = sa.text(
    "SELECT id, event FROM event_logs WHERE id > :after AND dagster_event_type = 'STEP_FAILURE' ORDER BY id"
)
_NEW_CHECKS = sa.text(
    "SELECT evaluation_event_storage_id, asset_key, check_name, execution_status, evaluation_event "
    "FROM asset_check_executions WHERE evaluation_event_storage_id > :after "
    # A check that is only planned says nothing yet: its run may die before it is evaluated.
    "AND execution_status IN ('SUCCEEDED', 'FAILED') ORDER BY evaluation_event_storage_id"
)
_LAST = sa.text("SELECT COALESCE(MAX(id), 0) FROM event_logs")


@dataclass(frozen=True)
class Failure:
    """One failure: what failed (a check, or a job's step), on which table, and why, in words without ids or times."""

    place: int
    name: str
    table: str
    text: str


class FailureLog:
    """The failures of one instance, as of the last `update()`."""

    def __init__(self, instance: SandboxInstance):
        self._instance = instance
        self._seen = 0
        self._runs: list[Failure] = []
        self._failing: dict[tuple[str, str], Failure] = {}
        self._counts: Counter[str] = Counter()

    def update(self) -> None:
        """Read what the event log has gained."""
        with self._instance.database.connect() as connection:
            steps = connection.execute(_NEW_STEPS, {"after": self._seen}).fetchall()
            checks = connection.execute(_NEW_CHECKS, {"after": self._seen}).fetchall()
            self._seen = int(connection.execute(_LAST).scalar_one())
        with file_trouble(f"dagster/{DATABASE}"):
            for place, event in steps:
                self._note_step(place, deserialize_value(event, EventLogEntry))
            for place, asset_key, name, status, event in checks:
                self._note_check(place, asset_key, name, status, event)

    def newest(self, limit: int = 5) -> tuple[str, ...]:
        """The newest failures in words: runs that failed, and checks that failed when last evaluated."""
        failures = sorted([*self._runs, *self._failing.values()], key=lambda each: -each.place)
        return tuple(dict.fromkeys(each.text for each in failures))[:limit]

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each check or job has failed since the log began, by name."""
        return dict(sorted(self._counts.items()))

    def _note_step(self, place: int, entry: EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            return
        error = event.step_failure_data.error
        # A gate that stopped a run is told by its checks; the step's own message adds which job it stopped.
        text = plain_error(error)
        self._runs.append(
            Failure(place, str(entry.job_name), "", f"run {entry.job_name} failed at {entry.step_key}: {text}")
        )
        self._counts[f"run:{entry.job_name}"] += 1

    def _note_check(self, place: int, asset_key: str, name: str, status: str, event: str | None) -> None:
        key = AssetKey.from_db_string(asset_key)
        table = key.path[-1] if key else asset_key
        self._failing.pop((table, name), None)
        if status != "FAILED" or event is None or name == "grade":
            return
        entry = deserialize_value(event, EventLogEntry)
        evaluation = entry.dagster_event.asset_check_evaluation_data if entry.dagster_event else None
        detail = (evaluation.description if evaluation else None) or "failed"
        self._failing[table, name] = Failure(place, name, table, f"{table}: check {name} failed: {detail}")
        self._counts[name] += 1
