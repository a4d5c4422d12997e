"""The table store: one Delta Lake table a folder, overwritten whole, every version kept.

In: frames, and a note on how each came to be. Out: the newest version of a table with its note. The note travels in
the Delta commit itself (`commitInfo`), so that data and provenance are one atomic write: which run wrote it, which
batches are in it, which repairs are remembered, and what it was computed from.

Opening a Delta table costs 10-20 ms and grows with its log, so reading looks at the newest log entry (which, for a
table that is overwritten whole, names its only file) and keeps frames by that file's unique name. Other processes'
writes are seen because the newest entry is looked up anew each time.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake

from .frames import from_arrow, to_arrow

NOTE_KEY = "mario"
CACHE_BYTES = 256 * 1024 * 1024


class NoTable(LookupError):
    """A table that has never been written."""


@dataclass(frozen=True)
class Note:
    """How a version came to be.

    Args:
        run_id: the Dagster run that wrote it.
        data_version: the content hash that Dagster was told.
        loaded: batch -> data version of the landed partition that is in the table.
        plan: the row-wise repairs remembered for rows that are loaded, or computed, later.
        built_from: for a derived table, upstream table -> data version it was computed from.
        repairs: every repair of this table so far, oldest first.
    """

    run_id: str = ""
    data_version: str = ""
    loaded: Mapping[str, str] = field(default_factory=dict)
    plan: tuple[Mapping[str, Any], ...] = ()
    built_from: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> str:
        fields = {name: value for name, value in vars(self).items() if value}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Note:
        fields = json.loads(text)
        for name in ("plan", "repairs"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)


@dataclass(frozen=True)
class Stored:
    """One version of a table, as the lake holds it. The frame is shared: never change it in place."""

    frame: pd.DataFrame
    note: Note
    version: int


class _Frames:
    """Frames by file name, for the whole process: a parquet file never changes, and clones share their files."""

    def __init__(self, capacity: int):
        self._capacity, self._held = capacity, 0
        self._frames: OrderedDict[str, tuple[pd.DataFrame, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> pd.DataFrame | None:
        with self._lock:
            if name not in self._frames:
                return None
            self._frames.move_to_end(name)
            return self._frames[name][0]

    def put(self, name: str, frame: pd.DataFrame) -> None:
        size = int(frame.memory_usage(index=False).sum())
        with self._lock:
            if name in self._frames:
                return
            self._frames[name] = (frame, size)
            self._held += size
            while self._held > self._capacity and len(self._frames) > 1:
                _, (_, freed) = self._frames.popitem(last=False)
                self._held -= freed


_FRAMES = _Frames(CACHE_BYTES)


@dataclass(frozen=True)
class _Entry:
    """The newest entry of a table's log, as far as this lake has looked."""

    stamp: tuple[int, int, int]
    note: Note
    file: str | None


class Lake:
    """Delta tables under one folder, by relative name (`temporal/catalog`, `temporal/landed_orders/t05`)."""

    def __init__(self, root: Path):
        self.root = root
        self._entries: dict[str, _Entry] = {}
        self._handles: dict[str, DeltaTable] = {}
        self._lock = threading.RLock()

    def version(self, name: str) -> int | None:
        """Number of the table's newest version; None when it was never written."""
        try:
            # Names of log entries are versions, padded to equal length: the greatest is the newest.
            newest = max(filter(_is_entry, os.listdir(self._log(name))), default=None)
        except FileNotFoundError:
            return None
        return int(newest[:-5]) if newest else None

    def exists(self, name: str) -> bool:
        return self.version(name) is not None

    def children(self, name: str) -> tuple[str, ...]:
        """Names of the tables directly under a folder, sorted: the partitions of a partitioned asset."""
        try:
            with os.scandir(self.root / name) as entries:
                return tuple(sorted(entry.name for entry in entries if entry.is_dir()))
        except FileNotFoundError:
            return ()

    def read(self, name: str) -> Stored:
        """The newest version of a table.

        Raises:
            NoTable: it was never written.
        """
        version, entry = self._newest(name)
        return Stored(self._frame(name, entry), entry.note, version)

    def read_at(self, name: str, version: int) -> pd.DataFrame:
        """A table's frame as of one of its versions.

        Raises:
            NoTable: it has no such version.
        """
        path = Path(f"{self._log(name)}/{version:020d}.json")
        if not path.exists():
            raise NoTable(f"table '{name}' has no version {version}")
        entry = _parse(path.read_text(), (version, 0, 0))
        if entry.file is None:
            return from_arrow(DeltaTable(self.root / name, version).to_pyarrow_table())
        return self._frame(name, entry)

    def note(self, name: str) -> Note:
        """The newest version's note, without reading its data."""
        return self._newest(name)[1].note

    def write(self, name: str, frame: pd.DataFrame, note: Note) -> int:
        """Overwrite a table, in one atomic commit with its note; returns the new version's number."""
        arrow = to_arrow(frame)
        properties = CommitProperties(custom_metadata={NOTE_KEY: note.to_json()})
        with self._lock:
            write_deltalake(
                self._handle(name) or self.root / name,
                arrow,
                mode="overwrite",
                schema_mode="overwrite",
                commit_properties=properties,
            )
            version, entry = self._newest(name)
        if entry.file is not None:
            _FRAMES.put(entry.file, from_arrow(arrow))
        return version

    def rollback(self, name: str) -> None:
        """Take back the newest version, as if it had never been committed; a table of one version goes altogether."""
        with self._lock:
            version = self.version(name)
            if version is None:
                return
            self._entries.pop(name, None)
            self._handles.pop(name, None)
            os.unlink(f"{self._log(name)}/{version:020d}.json")

    def tables(self) -> Iterator[str]:
        """Every table's relative name."""
        for log in sorted(self.root.glob("**/_delta_log")):
            yield str(log.parent.relative_to(self.root))

    def close(self) -> None:
        with self._lock:
            self._handles.clear()
            self._entries.clear()

    def _log(self, name: str) -> str:
        return f"{self.root}/{name}/_delta_log"

    def _newest(self, name: str) -> tuple[int, _Entry]:
        version = self.version(name)
        if version is None:
            raise NoTable(f"table '{name}' has never been written")
        path = f"{self._log(name)}/{version:020d}.json"
        stat = os.stat(path)
        stamp = (version, stat.st_mtime_ns, stat.st_ino)
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.stamp != stamp:
                entry = self._entries[name] = _parse(Path(path).read_text(), stamp)
            return version, entry

    def _frame(self, name: str, entry: _Entry) -> pd.DataFrame:
        if entry.file is None:
            return from_arrow(DeltaTable(self.root / name).to_pyarrow_table())
        frame = _FRAMES.get(entry.file)
        if frame is None:
            # The file by itself: a dataset would read `batch=…` folders above it as columns.
            with open(self.root / name / entry.file, "rb") as file:
                frame = from_arrow(pq.read_table(file))
            _FRAMES.put(entry.file, frame)
        return frame

    def _handle(self, name: str) -> DeltaTable | None:
        handle = self._handles.get(name)
        if handle is None:
            if not self.exists(name):
                return None
            handle = self._handles[name] = DeltaTable(self.root / name)
        elif handle.version() != self.version(name):
            handle.update_incremental()
        return handle


def _is_entry(name: str) -> bool:
    return len(name) == 25 and name.endswith(".json")


def _parse(text: str, stamp: tuple[int, int, int]) -> _Entry:
    """A log entry. `file` is the table's only file when the commit overwrote all of it, else None: ask Delta."""
    actions = [json.loads(line) for line in text.splitlines() if line]
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    added = [action["add"]["path"] for action in actions if "add" in action]
    whole = info.get("operationParameters", {}).get("mode") == "Overwrite" and len(added) == 1
    note = Note.from_json(info[NOTE_KEY]) if NOTE_KEY in info else Note()
    return _Entry(stamp, note, added[0] if whole else None)
