"""One SQLite file that several processes share: an engine, and transactions that a whole step fits in.

In: a path. Out: connections, and `transaction()`: everything that a thread writes inside is committed together, or not
at all. Whoever finds the file locked waits for it, in small naps, instead of failing.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

BUSY_TIMEOUT_SECONDS = 30.0
BUSY_POLL_SECONDS = 0.001


class _PatientCursor(sqlite3.Cursor):
    """Waits for another writer in steps of a millisecond.

    SQLite's own waiting soon looks but ten times a second, and so a process that writes step after step would keep a
    `dagster-webserver` on the same sandbox waiting for minutes.
    """

    def execute(self, *statement: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return _patiently(super().execute, statement)

    def executemany(self, *statement: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return _patiently(super().executemany, statement)


def _patiently(run: Callable[..., sqlite3.Cursor], statement: tuple[Any, ...]) -> sqlite3.Cursor:
    deadline = 0.0
    while True:
        try:
            return run(*statement)
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            deadline = deadline or now + BUSY_TIMEOUT_SECONDS
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or now > deadline:
                raise
        time.sleep(BUSY_POLL_SECONDS)


class _PatientConnection(sqlite3.Connection):
    def cursor(self, factory: type[sqlite3.Cursor] = _PatientCursor) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(factory)

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        return self.cursor().execute(*statement)


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
            connect_args={"timeout": 0, "check_same_thread": False, "factory": _PatientConnection},
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
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # With OFF a killed process loses nothing, only a machine that loses power: not worth an fsync an event.
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def _begin(connection: Connection) -> None:
    # Outside `transaction()` the driver begins at the first write, as in stock Dagster: begun at a read, a transaction
    # could not wait for another process's write, it would fail. IMMEDIATE takes the write lock at once instead.
    if connection.info.get("write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
