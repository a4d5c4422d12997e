"""Dagster's run, event and schedule storage for one sandbox, in one SQLite file behind one engine.

In: a Dagster home. Out: the three storages Dagster asks for, and a `transaction()` that makes everything they
write, in one thread, one atomic unit.

Why: stock SQLite storages open a new engine a call and fsync each of them, and scatter a run over several files, so
that a run costs hundreds of milliseconds and a killed process leaves half a run behind. Here the three storages share
one file with the same schema (as Dagster's own Postgres storage does), so a whole step commits or vanishes at once,
and a stock `dagster-webserver` reads it live. Registered in `dagster.yaml`, so stock Dagster tools use it too.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from dagster import (
    AssetKey,
    DagsterInvariantViolationError,
    DagsterRun,
    EventLogEntry,
    EventLogRecord,
    RunRecord,
    RunsFilter,
    StringSource,
)
from dagster._core.assets import AssetDetails
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import get_alembic_config, stamp_alembic_rev
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, pack_value
from dagster._utils.concurrency import ConcurrencyClaimStatus, ConcurrencyKeyInfo, ConcurrencySlotStatus
from sqlalchemy.engine import Connection

from mario_dagster.core.errors import Damaged
from mario_dagster.core.files import SANDBOX_FILE

from . import statements
from .database import DATABASE, Database

_encode = json.JSONEncoder(sort_keys=True).encode


def serialized(value: Any) -> str:
    """The text Dagster's `serialize_value` gives, in half its time."""
    return _encode(pack_value(value))


def _record_text(event_id: int, event_text: str) -> str:
    """A serialized `EventLogRecord` around an event that is serialized already."""
    return f'{{"__class__": "EventLogRecord", "event_log_entry": {event_text}, "storage_id": {event_id}}}'


def _sql_time(timestamp: float) -> str:
    """A moment as SQLAlchemy writes it into SQLite: UTC, without its offset, always with microseconds."""
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _from_sql_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@lru_cache(maxsize=256)
def _event_record_from(text: str) -> Any:
    """A stored `EventLogRecord`: an asset's newest materialization is read far more often than it changes."""
    return deserialize_value(text)


@lru_cache(maxsize=32)
def _run_from(body: str, status: str) -> DagsterRun:
    """A stored run; a run is read several times while it runs, and its text changes but twice."""
    return SqliteRunStorage._row_to_run(None, {"run_body": body, "status": status})  # type: ignore[arg-type]


def _key_texts(asset_keys: Sequence[AssetKey]) -> str:
    return json.dumps([key.to_string() for key in asset_keys])


class PoolBusy(RuntimeError):
    """A step needs a slot of a concurrency pool, and all are held by runs of other processes (or there are none)."""

    def __init__(self, pool: ConcurrencyKeyInfo):
        holders = sorted({slot.run_id for slot in pool.claimed_slots})
        held = f"held by run {', '.join(holders)}" if holders else "none is free"
        super().__init__(f"pool {pool.concurrency_key!r} has {pool.slot_count} slots: {held}")


class SandboxRunStorage(SqliteRunStorage):
    """Dagster's SQLite run storage on a shared `Database`."""

    def __init__(self, database: Database):
        self._database = database
        self._columns: dict[str, bool] = {}
        super().__init__(database.url)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._database.connect() as connection:
            yield connection

    def has_run_stats_index_cols(self) -> bool:
        return self._once("stats", super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        return self._once("backfill", super().has_backfill_id_column)

    def _once(self, name: str, ask: Any) -> bool:
        # The schema does not change while a process has the file open.
        if name not in self._columns:
            self._columns[name] = ask()
        return self._columns[name]

    def _core_add_run(self, col_values: dict[str, Any], tags: Mapping[str, str]) -> None:
        created = col_values["create_timestamp"].replace(tzinfo=None).isoformat(" ", "microseconds")
        with self._database.driver() as driver:
            try:
                driver.execute(statements.INSERT_RUN, {**col_values, "create_timestamp": created})
            except sqlite3.IntegrityError as error:
                raise DagsterRunAlreadyExists from error
            rows = [{"run_id": col_values["run_id"], "key": key, "value": value} for key, value in tags.items()]
            driver.executemany(statements.INSERT_RUN_TAG, rows)

    def _row_to_run(self, row: Any) -> DagsterRun:
        return _run_from(row["run_body"], row["status"])

    def _get_run_by_id(self, run_id: str) -> DagsterRun | None:
        with self._database.driver() as driver:
            row = driver.execute(statements.SELECT_RUN, {"run_id": run_id}).fetchone()
        return _run_from(*row) if row else None

    def get_run_records(self, filters: RunsFilter | None = None, *args: Any, **kwargs: Any) -> Sequence[RunRecord]:
        run_ids = filters.run_ids if filters is not None else None
        if run_ids is None or len(run_ids) != 1 or filters != RunsFilter(run_ids) or args or set(kwargs) - {"limit"}:
            return super().get_run_records(filters, *args, **kwargs)
        with self._database.driver() as driver:
            row = driver.execute(statements.SELECT_RUN_RECORD, {"run_id": run_ids[0]}).fetchone()
        if row is None:
            return []
        storage_id, body, status, created, updated, start, end = row
        run = _run_from(body, status)
        return [RunRecord(storage_id, run, _from_sql_time(created), _from_sql_time(updated), start, end)]

    def _has_snapshot_id(self, snapshot_id: str) -> bool:
        with self._database.driver() as driver:
            return driver.execute(statements.SELECT_SNAPSHOT, {"snapshot_id": snapshot_id}).fetchone() is not None

    def has_execution_plan_snapshot(self, execution_plan_snapshot_id: str) -> bool:
        # Stock reads, inflates and parses the snapshot to answer this.
        return self._has_snapshot_id(execution_plan_snapshot_id)


class SandboxEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """Dagster's consolidated SQLite event log on a shared `Database`."""

    def __init__(self, database: Database):
        self._database = database
        self._tables: dict[str, bool] = {}
        self._asset_columns: frozenset[str] = frozenset()
        super().__init__(os.path.dirname(database.path))

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._database.connect() as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        # Asked for every asset event; the schema does not change while a process has the file open.
        if table_name not in self._tables:
            with self._database.connect() as connection:
                self._tables[table_name] = sa.inspect(connection).has_table(table_name)
        return self._tables[table_name]

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if not self._asset_columns:
            self._asset_columns = frozenset(
                column["name"] for column in sa.inspect(conn).get_columns(AssetKeyTable.name)
            )
        return column_name in self._asset_columns

    def _fetch_raw_asset_rows(self, asset_keys: Any = None, **filters: Any) -> Any:
        if asset_keys is None or any(filters.values()) or not self.has_secondary_index(ASSET_KEY_INDEX_COLS):  # type: ignore[no-untyped-call]
            return super()._fetch_raw_asset_rows(asset_keys, **filters)
        with self._database.driver() as driver:
            rows = driver.execute(statements.SELECT_ASSETS, {"keys": _key_texts(asset_keys)}).fetchall()
        return [dict(zip(statements.ASSET_COLUMNS, row, strict=True)) for row in rows], False, None

    def _get_latest_materialization_records(self, raw_asset_rows: Any) -> Mapping[AssetKey, Any]:
        records = {}
        for row in raw_asset_rows:
            record = _event_record_from(row["last_materialization"]) if row["last_materialization"] else None
            if row["asset_details"] or not isinstance(record, EventLogRecord):
                # Wiped, never materialized, or written by an old Dagster.
                return super()._get_latest_materialization_records(raw_asset_rows)
            records[AssetKey.from_db_string(row["asset_key"])] = record
        return records  # type: ignore[return-value]

    def _get_assets_details(self, asset_keys: Sequence[AssetKey]) -> Sequence[AssetDetails | None]:
        with self._database.driver() as driver:
            details = dict(driver.execute(statements.SELECT_ASSET_DETAILS, {"keys": _key_texts(asset_keys)}).fetchall())
        return [AssetDetails.from_db_string(details.get(key.to_string())) for key in asset_keys]  # type: ignore[no-untyped-call]

    def get_latest_tags_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        tag_keys: Sequence[str],
        asset_partitions: Sequence[str] | None = None,
        before_cursor: int | None = None,
        after_cursor: int | None = None,
    ) -> Mapping[str, Mapping[str, str]]:
        cursors = before_cursor is not None or after_cursor is not None
        if cursors or asset_partitions is None or len(tag_keys) != 1 or self._get_assets_details([asset_key]) != [None]:
            return super().get_latest_tags_by_partition(
                asset_key, event_type, tag_keys, asset_partitions, before_cursor, after_cursor
            )
        values = {
            "asset_key": asset_key.to_string(),
            "event_type": event_type.value,
            "keys": json.dumps(list(asset_partitions)),
            "tag": tag_keys[0],
        }
        with self._database.driver() as driver:
            rows = driver.execute(statements.SELECT_TAGS_BY_PARTITION, values).fetchall()
        return {partition: {tag_keys[0]: value} for partition, value in rows}

    def store_event(self, event: EventLogEntry) -> None:
        """What stock `store_event` does, row for row, with ready-made statements and each event serialized once."""
        text, moment = serialized(event), _sql_time(event.timestamp)
        body = event.dagster_event
        key = body.asset_key.to_string() if body is not None and body.asset_key else None
        row = {
            "run_id": event.run_id,
            "event": text,
            "dagster_event_type": body.event_type_value if body is not None else None,
            "timestamp": moment,
            "step_key": body.step_key if body is not None else event.step_key,
            "asset_key": key,
            "partition": (body.partition or None) if body is not None else None,
        }
        with self._database.driver() as driver:
            event_id = driver.execute(statements.INSERT_EVENT, row).lastrowid or 0
            if body is None:
                return
            if key is not None and body.event_type in ASSET_EVENTS:
                self._store_asset(driver, event, event_id, key, text, moment)
            if body.event_type in ASSET_CHECK_EVENTS:
                self._store_check(driver, event, event_id, text, moment)

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        with self._database.driver() as driver:
            found = driver.execute(
                statements.SELECT_PARTITION, {"name": partitions_def_name, "key": partition_key}
            ).fetchone()
        return found is not None

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """Stock, but quick when nobody waits, and an error where stock would wait for ever: inside a transaction no
        other process can give its slot back."""
        if not self._database.in_transaction:
            return super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        row = {"concurrency_key": concurrency_key, "run_id": run_id, "step_key": step_key, "priority": priority or 0}
        with self._database.driver() as driver:
            slot = driver.execute(statements.SELECT_FREE_SLOT, row).fetchone()
            if slot and driver.execute(statements.COUNT_PENDING, row).fetchone() == (0,):
                driver.execute(statements.INSERT_ASSIGNED, row)
                driver.execute(statements.TAKE_SLOT, {**row, "slot": slot[0]})
                return ConcurrencyClaimStatus(
                    concurrency_key=concurrency_key, slot_status=ConcurrencySlotStatus.CLAIMED
                )
        status = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        if not status.is_claimed:
            raise PoolBusy(self.get_concurrency_info(concurrency_key))
        return status

    def has_room(self, pool: str) -> bool:
        """Whether a step in this pool could start now: a pool without a limit always has room."""
        row = {"concurrency_key": pool}
        with self._database.driver() as driver:
            if not driver.execute(statements.SELECT_LIMIT, row).fetchone():
                return True
            free = driver.execute(statements.SELECT_FREE_SLOT, row).fetchone()
        # A slot is given back a moment before the claim on it is.
        return bool(free) and self.has_unassigned_slots(pool)

    def free_concurrency_slot_for_step(self, run_id: str, step_key: str) -> None:
        row = {"run_id": run_id, "step_key": step_key}
        with self._database.driver() as driver:
            driver.execute(statements.DELETE_DELETED_SLOT, row)
            driver.execute(statements.FREE_SLOT, row)
            pools = [pool for (pool,) in driver.execute(statements.SELECT_ASSIGNED, row)]
            driver.execute(statements.DELETE_PENDING, row)
            waiting = [
                pool
                for pool in pools
                if driver.execute(statements.COUNT_PENDING, {"concurrency_key": pool}).fetchone() != (0,)
            ]
        self.assign_pending_steps(waiting)

    def dispose(self) -> None:
        super().dispose()  # type: ignore[no-untyped-call]
        self._database.dispose()

    def _store_asset(
        self, driver: sqlite3.Connection, event: EventLogEntry, event_id: int, key: str, text: str, moment: str
    ) -> None:
        tags = self._tags_for_asset_event(event)
        if tags:
            rows = [
                {"event_id": event_id, "asset_key": key, "key": name, "value": value, "event_timestamp": moment}
                for name, value in tags.items()
            ]
            driver.executemany(statements.INSERT_EVENT_TAG, rows)
        body = event.get_dagster_event()
        values = {"asset_key": key, "last_run_id": event.run_id, "last_materialization_timestamp": moment}
        if body.is_step_materialization:
            driver.execute(
                statements.UPSERT_MATERIALIZED, {**values, "last_materialization": _record_text(event_id, text)}
            )
        elif body.is_asset_materialization_planned:
            driver.execute(statements.UPSERT_PLANNED, values)
        elif body.is_asset_observation:
            driver.execute(statements.UPSERT_OBSERVED, values)

    def _store_check(
        self, driver: sqlite3.Connection, event: EventLogEntry, event_id: int, text: str, moment: str
    ) -> None:
        body = event.get_dagster_event()
        data: Any = body.event_specific_data
        row = {
            "asset_key": data.asset_key.to_string(),
            "check_name": data.check_name,
            "run_id": event.run_id,
            "evaluation_event": text,
            "evaluation_event_timestamp": moment,
            "evaluation_event_storage_id": event_id,
            "materialization_event_storage_id": None,
            "partition": None,
        }
        if body.event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            row["execution_status"] = CheckStatus.PLANNED.value
            subset = data.partitions_subset
            for partition in subset.get_partition_keys() if subset else [None]:
                driver.execute(statements.INSERT_CHECK, {**row, "partition": partition})
        elif body.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            target = data.target_materialization_data
            row["execution_status"] = (CheckStatus.SUCCEEDED if data.passed else CheckStatus.FAILED).value
            row["materialization_event_storage_id"] = target.storage_id if target else None
            row["partition"] = data.partition
            updated = driver.execute(statements.UPDATE_CHECK, row).rowcount if event.run_id else 0
            if updated == 0:
                driver.execute(statements.INSERT_CHECK, row)
            elif updated > 1:
                raise DagsterInvariantViolationError(f"{updated} rows for one evaluation of {data.asset_check_key}")


class SandboxScheduleStorage(SqliteScheduleStorage):
    """Dagster's SQLite schedule storage on a shared `Database`."""

    def __init__(self, database: Database):
        self._database = database
        super().__init__(database.url)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._database.connect() as connection:
            yield connection


class SandboxStorage(DagsterStorage, ConfigurableClass):
    """All of a Dagster home's storage; what a sandbox's `dagster.yaml` names.

    Args:
        base_dir: the Dagster home; the database file is made in it when there is none.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None):
        self.base_dir = base_dir
        self._inst_data = inst_data
        path = os.path.join(os.path.abspath(base_dir), DATABASE)
        if not os.path.exists(path):
            if os.path.exists(os.path.join(base_dir, os.pardir, SANDBOX_FILE)):
                raise Damaged(f"dagster/{DATABASE} is missing")
            create_database(path)
        self.database = Database(path)
        self._runs = SandboxRunStorage(self.database)
        self._events = SandboxEventLogStorage(self.database)
        self._schedules = SandboxScheduleStorage(self.database)
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Any:
        return cls(inst_data=inst_data, **config_value)

    def register_instance(self, instance: Any) -> None:
        super().register_instance(instance)
        for storage in (self._runs, self._events, self._schedules):
            if not storage.has_instance:
                storage.register_instance(instance)

    @property
    def event_log_storage(self) -> SandboxEventLogStorage:
        return self._events

    @property
    def run_storage(self) -> SandboxRunStorage:
        return self._runs

    @property
    def schedule_storage(self) -> SandboxScheduleStorage:
        return self._schedules

    # Separate storages are never configured: Dagster reads these only where `storage:` is absent from the yaml.
    @property
    def event_storage_data(self) -> ConfigurableClassData | None:
        return None

    @property
    def run_storage_data(self) -> ConfigurableClassData | None:
        return None

    @property
    def schedule_storage_data(self) -> ConfigurableClassData | None:
        return None

    def dispose(self) -> None:
        self.database.dispose()


def create_database(path: str) -> None:
    """A database at `path` with Dagster's newest schema and every data migration marked as applied."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    database = Database(path, create=True)
    try:
        for metadata in (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata):
            metadata.create_all(database.engine)
        with database.connect() as connection:
            stamp_alembic_rev(get_alembic_config(consolidated_sqlite_event_log.__file__), connection)
        runs, events, schedules = (
            SandboxRunStorage(database),
            SandboxEventLogStorage(database),
            SandboxScheduleStorage(database),
        )
        runs.migrate()
        runs.optimize()
        events.reindex_events()
        events.reindex_assets()
        schedules.migrate()
        schedules.optimize()
        with database.engine.connect() as connection:
            # Everything into the one file, so that copying the file copies the database.
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.dispose()
