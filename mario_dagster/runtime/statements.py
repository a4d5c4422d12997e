"""What Dagster writes of an event, as ready-made statements with named parameters.

Building and compiling them with SQLAlchemy costs a step a quarter of its time; `tests/runtime` explains each on a new
database, so that a release of Dagster that moves a column fails there.
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
INSERT_EVENT = _insert(
    "event_logs", "run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition"
)
INSERT_EVENT_TAG = _insert("asset_event_tags", "event_id", "asset_key", "key", "value", "event_timestamp")
UPSERT_MATERIALIZED = _upsert_asset("last_materialization", "last_run_id", "last_materialization_timestamp")
UPSERT_PLANNED = _upsert_asset("last_run_id", "last_materialization_timestamp")
UPSERT_OBSERVED = _upsert_asset("last_materialization_timestamp")
INSERT_CHECK = _insert("asset_check_executions", "asset_key", "check_name", "run_id", "partition", *_CHECK_COLUMNS)
# Dagster takes the highest id for the newest evaluation, and a row has its id from when it was planned: one that
# another run has overtaken since goes to the end.
UPDATE_CHECK = f"""\
UPDATE asset_check_executions SET {", ".join(f"{name} = :{name}" for name in _CHECK_COLUMNS)},
id = CASE WHEN id < (SELECT MAX(id) FROM asset_check_executions
                     WHERE asset_key = :asset_key AND check_name = :check_name AND run_id <> :run_id)
          THEN (SELECT MAX(id) + 1 FROM asset_check_executions) ELSE id END
WHERE asset_key = :asset_key AND check_name = :check_name AND run_id = :run_id AND partition IS :partition"""
# What a run planned and did not come to says nothing, and hides what was found before.
DELETE_PLANNED = """\
DELETE FROM asset_check_executions AS planned WHERE run_id = :run_id AND execution_status = 'PLANNED' AND EXISTS (
  SELECT 1 FROM asset_check_executions AS earlier
  WHERE earlier.asset_key = planned.asset_key AND earlier.check_name = planned.check_name
  AND earlier.partition IS planned.partition AND earlier.execution_status IN ('SUCCEEDED', 'FAILED'))"""
