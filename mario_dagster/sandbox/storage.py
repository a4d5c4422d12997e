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
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from dagster import AssetKey, DagsterInvariantViolationError, DagsterRun, EventLogEntry, RunsFilter, StringSource
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunStorageSqlMetadata, RunsTable, SnapshotsTable
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import get_alembic_config, stamp_alembic_rev
from dagster._serdes import ConfigurableClass, ConfigurableClassData, deserialize_value, pack_value
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import Connection

BUSY_TIMEOUT_SECONDS = 30
# Dagster's live log tail watches the folder for this very file name.
DATABASE = f"{consolidated_sqlite_event_log.SQLITE_EVENT_LOG_FILENAME}.db"


class Database:
    """One SQLite file: a pooled engine and, per thread, at most one open transaction."""

    def __init__(self, path: str):
        self.path = path
        self.url = f"sqlite:///{path}"
        self.engine = sa.create_engine(
            self.url,
            poolclass=sa.pool.QueuePool,
            pool_size=2,
            max_overflow=20,
            connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        sa.event.listen(self.engine, "connect", _configure)
        sa.event.listen(self.engine, "begin", _begin)
        self._local = threading.local()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """The thread's open transaction, or one of its own for the length of the block."""
        ambient: Connection | None = getattr(self._local, "connection", None)
        if ambient is not None:
            yield ambient
            return
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def driver(self) -> Iterator[sqlite3.Connection]:
        """As `connect`, but the driver's own connection: a ready-made statement costs a tenth of SQLAlchemy's."""
        with self.connect() as connection:
            yield connection.connection.driver_connection  # type: ignore[misc]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Everything this thread writes inside the block is committed at its end, or not at all."""
        if getattr(self._local, "connection", None) is not None:
            raise RuntimeError("a transaction is already open in this thread")
        with self.engine.connect() as connection:
            connection.info["write"] = True
            try:
                with connection.begin():
                    self._local.connection = connection
                    yield connection
            finally:
                self._local.connection = None
                connection.info.pop("write", None)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside `transaction()`."""
        return getattr(self._local, "connection", None) is not None

    def dispose(self) -> None:
        self.engine.dispose()


def _configure(dbapi_connection: Any, _record: Any) -> None:
    # SQLAlchemy, not pysqlite, decides where a transaction begins.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # A killed process loses nothing with OFF, only a machine that loses power; a sandbox is not worth an fsync an event.
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that reads first could otherwise fail at its first write.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get("write") else "BEGIN")


def _sql(statement: Any) -> str:
    """A statement on Dagster's own tables as text with `:name` parameters: a renamed column fails on import."""
    return str(statement.compile(dialect=sqlite_dialect.dialect(paramstyle="named")))


def _insert(table: sa.Table, *columns: str) -> str:
    return _sql(sa.insert(table).values({table.c[name]: sa.bindparam(name) for name in columns}))


def _upsert_asset(*columns: str) -> str:
    statement = sqlite_dialect.insert(AssetKeyTable).values({name: sa.bindparam(name) for name in ("asset_key", *columns)})
    return _sql(
        statement.on_conflict_do_update(
            index_elements=["asset_key"], set_={name: statement.excluded[name] for name in columns}
        )
    )


_EVENTS, _CHECKS, _RUNS, _SNAPSHOTS = SqlEventLogStorageTable, AssetCheckExecutionsTable, RunsTable, SnapshotsTable
_CHECK_COLUMNS = (
    "execution_status",
    "evaluation_event",
    "evaluation_event_timestamp",
    "evaluation_event_storage_id",
    "materialization_event_storage_id",
    "partition",
)
INSERT_EVENT = _insert(_EVENTS, "run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key", "partition")
INSERT_EVENT_TAG = _insert(AssetEventTagsTable, "event_id", "asset_key", "key", "value", "event_timestamp")
UPSERT_MATERIALIZED = _upsert_asset("last_materialization", "last_run_id", "last_materialization_timestamp")
UPSERT_PLANNED = _upsert_asset("last_run_id", "last_materialization_timestamp")
UPSERT_OBSERVED = _upsert_asset("last_materialization_timestamp")
INSERT_CHECK = _insert(_CHECKS, "asset_key", "check_name", "run_id", *_CHECK_COLUMNS)
UPDATE_CHECK = _sql(
    sa.update(_CHECKS)
    .where(
        _CHECKS.c.asset_key == sa.bindparam("asset_key"),
        _CHECKS.c.check_name == sa.bindparam("check_name"),
        _CHECKS.c.run_id == sa.bindparam("run_id"),
        _CHECKS.c.partition.is_(sa.bindparam("partition")),
    )
    .values({_CHECKS.c[name]: sa.bindparam(name) for name in _CHECK_COLUMNS if name != "partition"})
)
SELECT_RUN = _sql(sa.select(_RUNS.c.run_body, _RUNS.c.status).where(_RUNS.c.run_id == sa.bindparam("run_id")))
SELECT_SNAPSHOT = _sql(sa.select(_SNAPSHOTS.c.id).where(_SNAPSHOTS.c.snapshot_id == sa.bindparam("snapshot_id")))

_encode = json.JSONEncoder(sort_keys=True).encode


def serialized(value: Any) -> str:
    """The text Dagster's `serialize_value` gives, in half its time."""
    return _encode(pack_value(value))


def _record_text(event_id: int, event_text: str) -> str:
    """A serialized `EventLogRecord` around an event that is serialized already."""
    return f'{{"__class__": "EventLogRecord", "event_log_entry": {event_text}, "storage_id": {event_id}}}'


def _sql_time(timestamp: float) -> str:
    """A moment as SQLAlchemy writes it into SQLite: UTC, without its offset, always with microseconds."""
    return datetime.fromtimestamp(timestamp, timezone.utc).replace(tzinfo=None).isoformat(" ", "microseconds")


@lru_cache(maxsize=32)
def _run_from(body: str, status: str) -> DagsterRun:
    """A stored run; a run is read several times while it runs, and its text changes but twice."""
    return SqliteRunStorage._row_to_run(None, {"run_body": body, "status": status})  # type: ignore[arg-type]


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

    def _row_to_run(self, row: Any) -> DagsterRun:
        return _run_from(row["run_body"], row["status"])

    def _get_run_by_id(self, run_id: str) -> DagsterRun | None:
        with self._database.driver() as driver:
            row = driver.execute(SELECT_RUN, {"run_id": run_id}).fetchone()
        return _run_from(*row) if row else None

    def _has_snapshot_id(self, snapshot_id: str) -> bool:
        with self._database.driver() as driver:
            return driver.execute(SELECT_SNAPSHOT, {"snapshot_id": snapshot_id}).fetchone() is not None

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
            self._asset_columns = frozenset(column["name"] for column in sa.inspect(conn).get_columns(AssetKeyTable.name))
        return column_name in self._asset_columns

    def store_event(self, event: EventLogEntry) -> None:
        """What stock `store_event` does, row for row, with ready-made statements and each event serialized once."""
        text = serialized(event)
        time = _sql_time(event.timestamp)
        body = event.dagster_event
        key = body.asset_key.to_string() if body is not None and body.asset_key else None
        row = {
            "run_id": event.run_id,
            "event": text,
            "dagster_event_type": body.event_type_value if body is not None else None,
            "timestamp": time,
            "step_key": body.step_key if body is not None else event.step_key,
            "asset_key": key,
            "partition": (body.partition or None) if body is not None else None,
        }
        with self._database.driver() as driver:
            event_id = driver.execute(INSERT_EVENT, row).lastrowid or 0
            if body is None:
                return
            if key is not None and body.event_type in ASSET_EVENTS:
                self._store_asset(driver, event, event_id, key, text, time)
            if body.event_type in ASSET_CHECK_EVENTS:
                self._store_check(driver, event, event_id, text, time)

    def _store_asset(
        self, driver: sqlite3.Connection, event: EventLogEntry, event_id: int, key: str, text: str, time: str
    ) -> None:
        tags = self._tags_for_asset_event(event)
        if tags:
            rows = [
                {"event_id": event_id, "asset_key": key, "key": name, "value": value, "event_timestamp": time}
                for name, value in tags.items()
            ]
            driver.executemany(INSERT_EVENT_TAG, rows)
        body = event.get_dagster_event()
        values = {"asset_key": key, "last_run_id": event.run_id, "last_materialization_timestamp": time}
        if body.is_step_materialization:
            driver.execute(UPSERT_MATERIALIZED, {**values, "last_materialization": _record_text(event_id, text)})
        elif body.is_asset_materialization_planned:
            driver.execute(UPSERT_PLANNED, values)
        elif body.is_asset_observation:
            driver.execute(UPSERT_OBSERVED, values)

    def _store_check(self, driver: sqlite3.Connection, event: EventLogEntry, event_id: int, text: str, time: str) -> None:
        body = event.get_dagster_event()
        data: Any = body.event_specific_data
        row = {
            "asset_key": data.asset_key.to_string(),
            "check_name": data.check_name,
            "run_id": event.run_id,
            "evaluation_event": text,
            "evaluation_event_timestamp": time,
            "evaluation_event_storage_id": event_id,
            "materialization_event_storage_id": None,
        }
        if body.event_type is DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            row["execution_status"] = CheckStatus.PLANNED.value
            subset = data.partitions_subset
            for partition in subset.get_partition_keys() if subset else [None]:
                driver.execute(INSERT_CHECK, {**row, "partition": partition})
        elif body.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            target = data.target_materialization_data
            row["execution_status"] = (CheckStatus.SUCCEEDED if data.passed else CheckStatus.FAILED).value
            row["materialization_event_storage_id"] = target.storage_id if target else None
            row["partition"] = data.partition
            updated = driver.execute(UPDATE_CHECK, row).rowcount if event.run_id else 0
            if updated == 0:
                driver.execute(INSERT_CHECK, row)
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
            create_database(path)
        self.database = Database(path)
        self._runs = SandboxRunStorage(self.database)
        self._events = SandboxEventLogStorage(self.database)
        self._schedules = SandboxScheduleStorage(self.database)
        super().__init__()

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
    database = Database(path)
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
