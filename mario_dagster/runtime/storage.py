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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInvariantViolationError,
    DagsterRun,
    EventLogEntry,
    EventRecordsResult,
    StringSource,
)
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import get_alembic_config, stamp_alembic_rev
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._serdes import ConfigurableClass, ConfigurableClassData, pack_value
from sqlalchemy.engine import Connection

from mario_dagster.core.errors import Damaged, Refused
from mario_dagster.core.files import SANDBOX_FILE
from mario_dagster.core.task import MAX_WORKERS, MIN_WORKERS

from . import statements
from .database import DATABASE, Database
from .location import MODULE, job_origin
from .queries import note_pool_change

_CUT_SHORT = (DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)
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


class PoolBusy(RuntimeError):
    """A step needs a slot of a concurrency pool, and all are held by runs of other processes (or there are none)."""

    def __init__(self, pool: Any):
        holders = sorted({slot.run_id for slot in pool.claimed_slots})
        held = f"held by run {', '.join(holders)}" if holders else "none is free"
        super().__init__(f"pool {pool.concurrency_key!r} has {pool.slot_count} slots: {held}")


class _Asked:
    """Answers about the schema, which does not change while a process has the file open."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, ...], bool] = {}

    def once(self, ask: Callable[..., bool], *question: str) -> bool:
        key = (ask.__name__, *question)
        if key not in self._answers:
            self._answers[key] = ask(*question)
        return self._answers[key]


def require_slots(pool: str, slots: int) -> None:
    """See that an episode's pool gets as many slots as an agent could give it. Raises `Refused` where it would not."""
    if not MIN_WORKERS <= slots <= MAX_WORKERS:
        raise Refused(f"pool '{pool}' takes {MIN_WORKERS} to {MAX_WORKERS} slots, not {slots or 'unlimited'}")


class SandboxRunStorage(SqliteRunStorage):
    """Dagster's SQLite run storage on a shared `Database`."""

    def __init__(self, database: Database):
        self._database = database
        self._asked = _Asked()
        super().__init__(database.url)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._database.connect() as connection:
            yield connection

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        """Stock, with the run's place in the UI where nobody named one: runs in process come without."""
        if dagster_run.remote_job_origin is None:
            tags = {**dagster_run.tags, CODE_LOCATION_TAG: MODULE}
            dagster_run = dagster_run._replace(remote_job_origin=job_origin(dagster_run.job_name), tags=tags)
        return super().add_run(dagster_run)

    def has_run_stats_index_cols(self) -> bool:
        return self._asked.once(super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        return self._asked.once(super().has_backfill_id_column)


class SandboxEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """Dagster's consolidated SQLite event log on a shared `Database`."""

    def __init__(self, database: Database):
        self._database = database
        self._asked = _Asked()
        # Asked before a pool gets so many slots (0: no limit any more), where somebody wants to be asked.
        self.before_pool: Callable[[str, int], None] | None = None
        super().__init__(os.path.dirname(database.path))

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._database.connect() as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        return self._asked.once(super().has_table, table_name)

    def has_asset_key_col(self, column_name: str) -> bool:
        return self._asked.once(super().has_asset_key_col, column_name)

    def store_event(self, event: EventLogEntry) -> None:
        """What stock `store_event` does, with ready-made statements and each event serialized once.

        Row for row, but for checks: see `statements.UPDATE_CHECK` and `DELETE_PLANNED`.
        """
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
            if body.event_type in _CUT_SHORT:
                driver.execute(statements.DELETE_PLANNED, {"run_id": event.run_id})

    def fetch_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,
    ) -> EventRecordsResult:
        """Stock, asked once in a transaction: every check of a partition asks anew which materialization it judges."""
        return self._database.once(
            ("materializations", repr(records_filter), limit, cursor, ascending),
            lambda: super(SandboxEventLogStorage, self).fetch_materializations(
                records_filter, limit, cursor, ascending
            ),
        )

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> Any:
        """Stock, but an error where stock would wait for ever: inside a transaction no other process can give its slot
        back."""
        status = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        if self._database.in_transaction and not status.is_claimed:
            raise PoolBusy(self.get_concurrency_info(concurrency_key))
        return status

    def set_concurrency_slots(self, concurrency_key: str, num: int) -> None:
        """Stock, but for an episode's pool: it has as many slots as an agent could give it, whoever gives them."""
        if self.before_pool is not None:
            self.before_pool(concurrency_key, num)
        if self._played:
            require_slots(concurrency_key, num)
        before = self.get_concurrency_info(concurrency_key).slot_count if self._played else num
        super().set_concurrency_slots(concurrency_key, num)
        way = 1 if num > before else -1
        for slots in range(before + way, num + way, way) if num != before else ():
            note_pool_change(self._database, slots)

    def delete_concurrency_limit(self, concurrency_key: str) -> None:
        """Stock, but an episode's pool keeps its limit: without one, any number of batches would load at once."""
        if self.before_pool is not None:
            self.before_pool(concurrency_key, 0)
        if self._played:
            require_slots(concurrency_key, 0)
        super().delete_concurrency_limit(concurrency_key)

    @property
    def _played(self) -> bool:
        """Whether an episode is played in this home."""
        return Path(self._database.path).parent.with_name(SANDBOX_FILE).exists()

    def has_room(self, pool: str) -> bool:
        """Whether a step in this pool could start now: a pool without a limit always has room."""
        info = self.get_concurrency_info(pool)
        # A slot is given back a moment before the claim on it is.
        return info.limit is None or (len(info.claimed_slots) < info.slot_count and self.has_unassigned_slots(pool))

    def dispose(self) -> None:
        super().dispose()  # type: ignore[no-untyped-call]
        self._database.dispose()

    def _store_asset(
        self, driver: sqlite3.Connection, event: EventLogEntry, event_id: int, key: str, text: str, moment: str
    ) -> None:
        self._database.forget()
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
            row["execution_status"] = "PLANNED"
            subset = data.partitions_subset
            for partition in subset.get_partition_keys() if subset else [None]:
                driver.execute(statements.INSERT_CHECK, {**row, "partition": partition})
        elif body.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            target = data.target_materialization_data
            row["execution_status"] = "SUCCEEDED" if data.passed else "FAILED"
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
