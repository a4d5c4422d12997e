"""One SQLite file that several processes share: an engine, and transactions that a whole step fits in.

In: a path. Out: connections, and `transaction()`: everything that a thread writes inside is committed together, or not
at all. Whoever finds the file locked waits for it, in small naps, instead of failing. A file that is gone, or is
another than the one that was opened, is noticed at the next transaction: SQLite itself would go on in a file that
nobody can find any more.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mario_dagster.core.errors import Damaged, StorageError, Unavailable

# The name of Dagster's consolidated event log: its live log tail watches the folder for this very file.
DATABASE = "event_log.db"
_FOR_NOW = {
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another process holds it",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_IOERR: "the disk does not answer",
    sqlite3.SQLITE_FULL: "no space left on device",
    sqlite3.SQLITE_CANTOPEN: "permission denied",
    sqlite3.SQLITE_PERM: "permission denied",
    sqlite3.SQLITE_NOMEM: "no memory left",
}
BUSY_TIMEOUT_SECONDS = 30.0
BUSY_POLL_SECONDS = 0.001

Answer = TypeVar("Answer")


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
    """One SQLite file: a pooled engine and, per thread, at most one open transaction.

    Args:
        create: make the file if there is none; else a missing file is an error, and never an empty database.
    """

    def __init__(self, path: str, create: bool = False):
        self.path = path
        self.url = f"sqlite:///{path}"
        self._mode = "rwc" if create else "rw"
        self._inode: int | None = None
        self.engine = sa.create_engine(
            self.url, poolclass=sa.pool.QueuePool, pool_size=2, max_overflow=20, creator=self._open
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
        with self._trouble():
            self._same_file()
            with self.engine.connect() as connection, self._announced(connection), connection.begin():
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
        with self._trouble():
            self._same_file()
            with self.engine.connect() as connection:
                connection.info["write"] = True
                try:
                    with self._announced(connection), connection.begin():
                        self._local.connection, self._local.answers = connection, {}
                        yield connection
                finally:
                    self._local.connection, self._local.answers = None, None
                    connection.info.pop("write", None)

    def once(self, question: Hashable, ask: Callable[[], Answer]) -> Answer:
        """What `ask` answers, asked once in this thread's open transaction until `forget()`; else asked each time."""
        answers: dict[Hashable, Any] | None = getattr(self._local, "answers", None)
        if answers is None:
            return ask()
        if question not in answers:
            answers[question] = ask()
        answer: Answer = answers[question]
        return answer

    def forget(self) -> None:
        """Have every question asked anew: something was written that an answer may stand on."""
        if getattr(self._local, "answers", None):
            self._local.answers = {}

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside `transaction()`."""
        return getattr(self._local, "connection", None) is not None

    def check(self) -> None:
        """Look through the whole file.

        Raises:
            Damaged: its pages do not hang together.
        """
        with self.driver() as driver:
            found = driver.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise Damaged(f"{self._name} is not what was written")

    def glance(self) -> None:
        """Read its first page, and compare the file's length with it; through SQLite alone.

        A file that is opened by other means takes this process's locks along when it is closed, as POSIX has it: the
        next process to leave would think itself the last, and delete the log that this one goes on writing to.

        Raises:
            Damaged: there is no first page, or the file has been cut off.
        """
        with suppress(FileNotFoundError):
            # SQLite would make a database of it.
            if not os.stat(self.path).st_size:
                raise Damaged(f"{self._name} is not what was written: it is empty")
        with self.driver() as driver:
            # SQLite itself denies a file that has fewer pages than its first one says.
            driver.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            page = driver.execute("PRAGMA page_size").fetchone()[0]
        if os.stat(self.path).st_size % page:
            raise Damaged(f"{self._name} is not what was written: it has been cut off")

    def dispose(self) -> None:
        self.engine.dispose()

    @property
    def _name(self) -> str:
        """What the file is called, relative to the sandbox."""
        return "/".join(Path(self.path).parts[-2:])

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(self.path)}?mode={self._mode}",
            uri=True,
            timeout=0,
            check_same_thread=False,
            factory=_PatientConnection,
        )
        self._inode = os.stat(self.path).st_ino
        return connection

    def _same_file(self) -> None:
        """Let go of connections to a file that is not the one of that name any more."""
        if self._inode is None:
            return
        try:
            same = os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            same = False
        if not same:
            self.engine.dispose()

    @contextmanager
    def _announced(self, connection: Connection) -> Iterator[None]:
        """Touch the file after a transaction that changed something.

        A run's page watches it, and a write goes to the write-ahead log beside it.
        """
        driver: Any = connection.connection.driver_connection
        before = driver.total_changes
        yield
        if driver.total_changes != before:
            with suppress(OSError):
                os.utime(self.path)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Errors of the file as `Damaged` or `Unavailable`, with no statement in them; connections that met one go."""
        try:
            yield
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            told = self._told(error)
            if told is None:
                raise
            self.engine.dispose()
            raise told from error

    def _told(self, error: Exception) -> StorageError | None:
        """What an error says of the file; None where it is about the statement."""
        origin = getattr(error, "orig", None) or error
        code = (getattr(origin, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_CANTOPEN and not os.path.exists(self.path):
            return Damaged(f"{self._name} is missing")
        if code in _FOR_NOW:
            return Unavailable(f"{self._name} is out of reach for now: {_FOR_NOW[code]}")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(origin):
            return Damaged(f"{self._name} is not what was written")
        return None


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
