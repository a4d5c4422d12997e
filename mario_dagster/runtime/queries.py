"""What the engine asks of Dagster's own tables beyond Dagster's interface, and what it keeps in its key-value table.

In: a sandbox's `Database`. Out: plain values. Every statement on a table of Dagster's is here or in `statements.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    DagsterRun,
    EventLogEntry,
    JsonMetadataValue,
    deserialize_value,
)

from mario_dagster.core.files import file_trouble

from .database import DATABASE, Database

_NEW_STEP_FAILURES = """\
SELECT id, event FROM event_logs WHERE id > ? AND dagster_event_type = 'STEP_FAILURE' ORDER BY id"""
# A check that is only planned says nothing yet: its run may die before it is evaluated.
_NEW_CHECK_OUTCOMES = """\
SELECT evaluation_event_storage_id, asset_key, check_name, execution_status, evaluation_event
FROM asset_check_executions WHERE evaluation_event_storage_id > ?
AND execution_status IN ('SUCCEEDED', 'FAILED') ORDER BY evaluation_event_storage_id"""
_CHECK_OUTCOMES_OF = """\
SELECT evaluation_event_storage_id, asset_key, check_name, execution_status, evaluation_event
FROM asset_check_executions WHERE run_id = ?
AND execution_status IN ('SUCCEEDED', 'FAILED') ORDER BY evaluation_event_storage_id"""
_NEWEST_PUBLICATION = """\
SELECT COALESCE(MAX(id), 0) FROM event_logs WHERE id > ? AND dagster_event_type = 'ASSET_MATERIALIZATION'
AND asset_key GLOB '*"published_*'"""
_FAILED_CHECKS = """\
SELECT asset_key, check_name FROM asset_check_executions
WHERE run_id = ? AND execution_status = 'FAILED' ORDER BY asset_key, check_name"""
_LAST_EVENT = "SELECT COALESCE(MAX(id), 0) FROM event_logs"
_NEWEST_STATUS = """\
SELECT status FROM runs WHERE pipeline_name = ? AND status IN ('SUCCESS', 'FAILURE')
AND run_id NOT IN (SELECT run_id FROM run_tags WHERE key = ?) ORDER BY id DESC LIMIT 1"""
# A deleted run takes its events along, and its ids may be given out again: hence the count and the time.
_FINGERPRINT = """\
SELECT (SELECT count(*) FROM event_logs), (SELECT id || ' ' || timestamp FROM event_logs ORDER BY id DESC LIMIT 1),
       (SELECT group_concat(concurrency_key || '=' || "limit") FROM concurrency_limits),
       (SELECT count(*) || ' ' || max(id) FROM dynamic_partitions), (SELECT max(wipe_timestamp) FROM asset_keys)"""
# Few runs of a sandbox have neither tag, and those that have are found by the index on tags.
_UNTAGGED_RUNS = """\
SELECT run_body, status, (SELECT COALESCE(MIN(id), 0) FROM event_logs WHERE event_logs.run_id = runs.run_id)
FROM runs WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED')
AND run_id NOT IN (SELECT run_id FROM run_tags WHERE key IN ({})) ORDER BY id"""
_PUT = "INSERT INTO kvs (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_GET = "SELECT value FROM kvs WHERE key = ?"
# A range of keys, which the index on `key` serves; "0" is the character after "/".
_POOL_CHANGES = "mario/pool/"
_UNDER = "FROM kvs WHERE key >= ? AND key < ?"
# Where a failed audit's result keeps what it found, as data, and what names the content that it looked at.
AUDITED = "audited"


@dataclass(frozen=True)
class StepFailure:
    """A failed step of a run: its place in the event log, and what Dagster recorded of it."""

    event_id: int
    entry: EventLogEntry


@dataclass(frozen=True)
class CheckOutcome:
    """How an asset check was evaluated: its place in the event log, and why, in the check's own words.

    Args:
        audited: what a failed audit found, as data; empty for any other check.
    """

    event_id: int
    asset: AssetKey
    check: str
    passed: bool
    description: str | None
    audited: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedRun:
    """A run that has come to its end.

    Args:
        run: as Dagster recorded it when it was made.
        first_event: the place of its first event in the event log.
    """

    run: DagsterRun
    succeeded: bool
    first_event: int


@dataclass(frozen=True)
class PoolChange:
    """One slot given to a pool, or taken from it.

    Args:
        slots: what the pool then had.
        after_event: the newest event of the log at that time.
    """

    slots: int
    after_event: int


def finished_runs_without(database: Database, *tags: str) -> list[FinishedRun]:
    """Runs that have ended and have none of these tags, oldest first."""
    with database.driver() as driver:
        rows = driver.execute(_UNTAGGED_RUNS.format(",".join("?" * len(tags))), tags).fetchall()
    with file_trouble(f"dagster/{DATABASE}"):
        return [
            FinishedRun(deserialize_value(body, DagsterRun), status == "SUCCESS", first) for body, status, first in rows
        ]


def note_pool_change(database: Database, slots: int) -> None:
    """Remember a change of a pool, which Dagster keeps no event of."""
    put(database, f"{_POOL_CHANGES}{pool_change_count(database):06d}", f"{slots} {last_event_id(database)}")


def pool_change_count(database: Database) -> int:
    """How often the pool has been changed so far."""
    return count_under(database, _POOL_CHANGES)


def pool_changes(database: Database) -> list[PoolChange]:
    """Changes of the pool so far, oldest first."""
    return [PoolChange(*map(int, value.split())) for _, value in values_under(database, _POOL_CHANGES)]


def newest_step_failures(database: Database, after: int) -> list[StepFailure]:
    """Steps that failed since the event `after`, oldest first."""
    with database.driver() as driver:
        rows = driver.execute(_NEW_STEP_FAILURES, (after,)).fetchall()
    return [StepFailure(event_id, _entry(event)) for event_id, event in rows]


def check_outcomes_since(database: Database, after: int) -> list[CheckOutcome]:
    """Asset checks that were evaluated since the event `after`, oldest first; a check that raised is none."""
    with database.driver() as driver:
        rows = driver.execute(_NEW_CHECK_OUTCOMES, (after,)).fetchall()
    return [_outcome(*row) for row in rows]


def check_outcomes_of(database: Database, run_id: str) -> list[CheckOutcome]:
    """Asset checks that a run evaluated, oldest first."""
    with database.driver() as driver:
        rows = driver.execute(_CHECK_OUTCOMES_OF, (run_id,)).fetchall()
    return [_outcome(*row) for row in rows]


def failed_checks_of(database: Database, run_id: str) -> dict[str, list[str]]:
    """The asset checks that a run denied: the asset's own name -> names of checks, both in alphabetical order."""
    with database.driver() as driver:
        rows = driver.execute(_FAILED_CHECKS, (run_id,)).fetchall()
    failed: dict[str, list[str]] = {}
    for asset_key, name in rows:
        failed.setdefault((AssetKey.from_db_string(asset_key) or AssetKey(asset_key)).path[-1], []).append(name)
    return failed


def _outcome(event_id: int, asset_key: str, name: str, status: str, event: str | None) -> CheckOutcome:
    asset = AssetKey.from_db_string(asset_key) or AssetKey(asset_key)
    passed = status == "SUCCEEDED"
    # Only a failure's words are told, and reading an event is dear.
    evaluation = None if passed or event is None else _evaluation(event)
    if evaluation is None:
        return CheckOutcome(event_id, asset, name, passed, None)
    noted = evaluation.metadata.get(AUDITED)
    audited = noted.data if isinstance(noted, JsonMetadataValue) and isinstance(noted.data, dict) else {}
    return CheckOutcome(event_id, asset, name, passed, evaluation.description, audited)


def _evaluation(event: str) -> AssetCheckEvaluation | None:
    recorded = _entry(event).dagster_event
    return recorded.asset_check_evaluation_data if recorded else None


def _entry(event: str) -> EventLogEntry:
    """An event as stored. Raises `Damaged` where it is not what was written."""
    with file_trouble(f"dagster/{DATABASE}"):
        return deserialize_value(event, EventLogEntry)


def newest_publication(database: Database, after: int) -> int:
    """The place in the event log of the newest published table since the event `after`; 0 where there is none."""
    with database.driver() as driver:
        return int(driver.execute(_NEWEST_PUBLICATION, (after,)).fetchone()[0])


def last_event_id(database: Database) -> int:
    """The newest event's place in the event log; 0 while it is empty."""
    with database.driver() as driver:
        return int(driver.execute(_LAST_EVENT).fetchone()[0])


def newest_run_status(database: Database, job: str, untagged: str) -> str | None:
    """How the newest run of a job ended that does not have the tag `untagged`; None while there is none."""
    with database.driver() as driver:
        row = driver.execute(_NEWEST_STATUS, (job, untagged)).fetchone()
    return None if row is None else str(row[0])


def fingerprint(database: Database) -> tuple[Any, ...]:
    """Changes whenever any process records an event, wipes an asset, or changes a pool or a dynamic partition."""
    with database.driver() as driver:
        return tuple(driver.execute(_FINGERPRINT).fetchone())


def put(database: Database, key: str, value: str) -> None:
    """Keep a value under a key, in the transaction that is open."""
    with database.driver() as driver:
        driver.execute(_PUT, (key, value))


def get(database: Database, key: str) -> str | None:
    """The value that is kept under a key."""
    with database.driver() as driver:
        row = driver.execute(_GET, (key,)).fetchone()
    return None if row is None else str(row[0])


def values_under(database: Database, prefix: str) -> Sequence[tuple[str, str]]:
    """Keys that begin with `prefix`, which ends in "/", and their values, by key."""
    with database.driver() as driver:
        return driver.execute(f"SELECT key, value {_UNDER} ORDER BY key", _bounds(prefix)).fetchall()


def count_under(database: Database, prefix: str) -> int:
    """How many keys begin with `prefix`."""
    with database.driver() as driver:
        return int(driver.execute(f"SELECT COUNT(*) {_UNDER}", _bounds(prefix)).fetchone()[0])


def extent_under(database: Database, prefix: str) -> tuple[int, int]:
    """How many keys begin with `prefix`, and the bytes of their values together."""
    with database.driver() as driver:
        query = f"SELECT COUNT(*), COALESCE(SUM(LENGTH(CAST(value AS BLOB))), 0) {_UNDER}"
        count, size = driver.execute(query, _bounds(prefix)).fetchone()
    return int(count), int(size)


def _bounds(prefix: str) -> tuple[str, str]:
    return prefix, prefix[:-1] + "0"
