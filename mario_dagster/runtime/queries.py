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
    serialize_value,
)

from mario_dagster.core.files import file_trouble

from .database import DATABASE, Database

_NEW_STEP_FAILURES = """\
SELECT id, event FROM event_logs WHERE id > ? AND dagster_event_type = 'STEP_FAILURE' ORDER BY id"""
_STEP_FAILURES_OF = """\
SELECT id, event FROM event_logs WHERE run_id = ? AND dagster_event_type = 'STEP_FAILURE' ORDER BY id"""
_DISOWN = "DELETE FROM run_tags WHERE run_id = ? AND key GLOB ?"
_RUN = "SELECT run_body FROM runs WHERE run_id = ?"
_RERUN = "UPDATE runs SET run_body = ? WHERE run_id = ?"
# A check that is only planned says nothing yet: its run may die before it is evaluated.
_NEW_CHECK_OUTCOMES = """\
SELECT evaluation_event_storage_id, asset_key, check_name, execution_status, evaluation_event
FROM asset_check_executions WHERE evaluation_event_storage_id > ? AND run_id <> ''
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
# What was last said of each check, and of which content of its asset.
_JUDGED = """\
SELECT asset_key, check_name, execution_status = 'SUCCEEDED',
       json_extract(evaluation_event, '$.dagster_event.event_specific_data.description'),
       materialization_event_storage_id
FROM asset_check_executions WHERE id IN (
  SELECT MAX(id) FROM asset_check_executions WHERE execution_status IN ('SUCCEEDED', 'FAILED')
  GROUP BY asset_key, check_name)"""
_NEWEST_MATERIALIZATIONS = """\
SELECT asset_key, id, run_id, CAST(strftime('%s', timestamp) AS REAL) FROM event_logs WHERE id IN (
  SELECT MAX(id) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' GROUP BY asset_key)"""
_FRESHNESS = """\
SELECT asset_key, json_extract(event, '$.dagster_event.event_specific_data.new_state') FROM event_logs WHERE id IN (
  SELECT MAX(id) FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE' GROUP BY asset_key)"""
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


@dataclass(frozen=True)
class Judged:
    """What was last said of an asset check.

    Args:
        description: why it fails, in words; None where nothing was said.
        materialization: its place in the event log, of which it was said; None where that is not known.
    """

    passed: bool
    description: str | None
    materialization: int | None


@dataclass(frozen=True)
class Materialized:
    """An asset's newest materialization: its place in the event log, its run, when it was."""

    event_id: int
    run_id: str
    timestamp: float


def judged(database: Database) -> dict[tuple[str, str], Judged]:
    """What was last said of each asset check, by asset (`temporal/catalog`) and name."""
    with database.driver() as driver:
        rows = driver.execute(_JUDGED).fetchall()
    return {(_asset(key), name): Judged(bool(passed), why, at) for key, name, passed, why, at in rows}


def newest_materializations(database: Database) -> dict[str, Materialized]:
    """Each asset's newest materialization, by asset."""
    with database.driver() as driver:
        rows = driver.execute(_NEWEST_MATERIALIZATIONS).fetchall()
    return {_asset(key): Materialized(*rest) for key, *rest in rows}


def freshness_states(database: Database) -> dict[str, str]:
    """How fresh each asset was last said to be (`PASS`, `WARN`, `FAIL`), by asset."""
    with database.driver() as driver:
        rows = driver.execute(_FRESHNESS).fetchall()
    return {_asset(key): str(state).rpartition(".")[2].rstrip('"}') for key, state in rows}


def _asset(key: str) -> str:
    return (AssetKey.from_db_string(key) or AssetKey(key)).to_user_string()


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


def step_failures_of(database: Database, run_id: str) -> list[StepFailure]:
    """The steps of a run that failed, oldest first."""
    with database.driver() as driver:
        rows = driver.execute(_STEP_FAILURES_OF, (run_id,)).fetchall()
    return [StepFailure(event_id, _entry(event)) for event_id, event in rows]


def disown(database: Database, run_id: str, prefix: str) -> None:
    """Take from a run, in the transaction that is open, its tags that begin so: it has them from another run."""
    with database.driver() as driver:
        driver.execute(_DISOWN, (run_id, f"{prefix}*"))
        run = deserialize_value(driver.execute(_RUN, (run_id,)).fetchone()[0], DagsterRun)
        own = run.with_tags({name: value for name, value in run.tags.items() if not name.startswith(prefix)})
        driver.execute(_RERUN, (serialize_value(own), run_id))


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
