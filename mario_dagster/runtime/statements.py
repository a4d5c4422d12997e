"""The SQL of Dagster's own tables that a run writes and reads most, ready made.

In: nothing. Out: statements with named parameters. Building and compiling them with SQLAlchemy was half of a run's
time; `tests/test_storage.py` explains each on a new database, so that an upgrade that moves a column fails there.
"""

from __future__ import annotations


def _insert(table: str, *columns: str) -> str:
    names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({values})"


def _upsert_asset(*columns: str) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    return f"{_insert('asset_keys', 'asset_key', *columns)} ON CONFLICT (asset_key) DO UPDATE SET {changes}"


_CHECK_COLUMNS = (
    "execution_status",
    "evaluation_event",
    "evaluation_event_timestamp",
    "evaluation_event_storage_id",
    "materialization_event_storage_id",
)
ASSET_COLUMNS = ("id", "asset_key", "last_materialization", "last_run_id", "asset_details", "cached_status_data")
_OF_STEP = "run_id = :run_id AND step_key = :step_key"
_OF_POOL = "concurrency_key = :concurrency_key"
# Lists go in as one JSON parameter, so that a statement's text never changes.
_OF_KEYS = "IN (SELECT value FROM json_each(:keys))"

INSERT_RUN = _insert(
    "runs",
    "run_id",
    "pipeline_name",
    "status",
    "run_body",
    "snapshot_id",
    "partition",
    "partition_set",
    "backfill_id",
    "create_timestamp",
)
INSERT_RUN_TAG = _insert("run_tags", "run_id", "key", "value")
SELECT_RUN = "SELECT run_body, status FROM runs WHERE run_id = :run_id"
SELECT_RUN_RECORD = """\
SELECT id, run_body, status, create_timestamp, update_timestamp, start_time, end_time
FROM runs WHERE run_id = :run_id"""
SELECT_SNAPSHOT = "SELECT id FROM snapshots WHERE snapshot_id = :snapshot_id"

INSERT_EVENT = _insert(
    "event_logs", "run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition"
)
INSERT_EVENT_TAG = _insert("asset_event_tags", "event_id", "asset_key", "key", "value", "event_timestamp")
UPSERT_MATERIALIZED = _upsert_asset("last_materialization", "last_run_id", "last_materialization_timestamp")
UPSERT_PLANNED = _upsert_asset("last_run_id", "last_materialization_timestamp")
UPSERT_OBSERVED = _upsert_asset("last_materialization_timestamp")
SELECT_ASSETS = f"""\
SELECT {", ".join(ASSET_COLUMNS)} FROM asset_keys WHERE asset_key {_OF_KEYS}
AND (wipe_timestamp IS NULL OR last_materialization_timestamp > wipe_timestamp) ORDER BY asset_key"""
SELECT_ASSET_DETAILS = f"SELECT asset_key, asset_details FROM asset_keys WHERE asset_key {_OF_KEYS}"
SELECT_TAGS_BY_PARTITION = f"""\
SELECT latest.partition, tags.value FROM asset_event_tags AS tags JOIN (
    SELECT partition, max(id) AS id FROM event_logs
    WHERE asset_key = :asset_key AND dagster_event_type = :event_type AND partition {_OF_KEYS} GROUP BY partition
) AS latest ON tags.event_id = latest.id WHERE tags.key = :tag"""
SELECT_PARTITION = "SELECT id FROM dynamic_partitions WHERE partitions_def_name = :name AND partition = :key"

INSERT_CHECK = _insert("asset_check_executions", "asset_key", "check_name", "run_id", "partition", *_CHECK_COLUMNS)
UPDATE_CHECK = f"""\
UPDATE asset_check_executions SET {", ".join(f"{name} = :{name}" for name in _CHECK_COLUMNS)}
WHERE asset_key = :asset_key AND check_name = :check_name AND run_id = :run_id AND partition IS :partition"""

SELECT_LIMIT = f"SELECT id FROM concurrency_limits WHERE {_OF_POOL}"
COUNT_PENDING = f"SELECT count(*) FROM pending_steps WHERE {_OF_POOL}"
INSERT_ASSIGNED = """\
INSERT INTO pending_steps (concurrency_key, run_id, step_key, priority, assigned_timestamp)
VALUES (:concurrency_key, :run_id, :step_key, :priority, CURRENT_TIMESTAMP)"""
SELECT_ASSIGNED = f"SELECT concurrency_key FROM pending_steps WHERE {_OF_STEP} AND assigned_timestamp IS NOT NULL"
DELETE_PENDING = f"DELETE FROM pending_steps WHERE {_OF_STEP}"
SELECT_FREE_SLOT = f"SELECT id FROM concurrency_slots WHERE {_OF_POOL} AND step_key IS NULL AND NOT deleted"
TAKE_SLOT = "UPDATE concurrency_slots SET run_id = :run_id, step_key = :step_key WHERE id = :slot"
DELETE_DELETED_SLOT = f"DELETE FROM concurrency_slots WHERE {_OF_STEP} AND deleted"
FREE_SLOT = f"UPDATE concurrency_slots SET run_id = NULL, step_key = NULL WHERE {_OF_STEP}"
