"""The table store: one Delta Lake table a folder, overwritten whole, every version kept.

In: frames, and a note on how each came to be. Out: the newest version of a table with its note. The note travels in
the Delta commit itself (`commitInfo`), so that data and provenance are one atomic write: which run wrote it, which
batches are in it, which repairs are remembered, and what it was computed from.

Opening a Delta table costs 10-20 ms and grows with its log, so reading looks at the newest log entry (which, for a
table that is overwritten whole, names its only file) and keeps frames by that file's unique name. Other processes'
writes are seen because the newest entry is looked up anew each time; but inside `steady()`, where the caller knows
that nobody else writes, each folder is listed once.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake

from mario_dagster.core.errors import Damaged, StorageError
from mario_dagster.core.files import digest_of, file_trouble

from .content_cache import CONTENT_CACHE, frame_bytes
from .frames import column_type, content_hash, from_arrow, to_arrow

PROVENANCE_KEY, CONTENT_KEY, SEAL_KEY = "mario", "mario_content", "mario_seal"
# Version, and modification time and inode of its log entry.
Stamp = tuple[int, int, int]


class NoTable(LookupError):
    """A table that has never been written."""


@dataclass(frozen=True)
class Provenance:
    """How a version came to be.

    Args:
        run_id: the Dagster run that wrote it.
        data_version: the content hash that Dagster was told.
        loaded: batch -> data version of the landed partition that is in the table.
        plan: the row-wise repairs remembered for rows that are loaded, or computed, later.
        built_from: for a derived table, upstream table -> data version it was computed from.
        repairs: every repair of this table so far, oldest first.
        code_version: for a derived table, the release of its transform that computed it.
    """

    run_id: str = ""
    data_version: str = ""
    loaded: Mapping[str, str] = field(default_factory=dict)
    plan: tuple[Mapping[str, Any], ...] = ()
    built_from: Mapping[str, str] = field(default_factory=dict)
    repairs: tuple[Mapping[str, Any], ...] = ()
    code_version: str = ""

    def to_json(self) -> str:
        fields = {name: value for name, value in vars(self).items() if value}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        fields = json.loads(text)
        for name in ("plan", "repairs"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)


@dataclass(frozen=True)
class Stored:
    """One version of a table, as the lake holds it. The frame is shared: never change it in place."""

    frame: pd.DataFrame
    provenance: Provenance
    version: int


@dataclass(frozen=True)
class _Entry:
    """The newest entry of a table's log, as far as this lake has looked."""

    stamp: Stamp
    provenance: Provenance
    file: str | None
    content: str = ""


@dataclass(frozen=True)
class _Seen:
    """What a thread has found on disk since its `steady()` block began, by table or folder."""

    versions: dict[str, int | None] = field(default_factory=dict)
    entries: dict[str, _Entry] = field(default_factory=dict)
    children: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        self.versions.pop(name, None)
        self.entries.pop(name, None)
        self.children.pop(name.rpartition("/")[0], None)


class Lake:
    """Delta tables under one folder, by relative name (`temporal/catalog`, `temporal/landed_orders/t05`)."""

    def __init__(self, root: Path):
        self.root = root
        self._entries: dict[str, _Entry] = {}
        self._handles: dict[str, tuple[Stamp, DeltaTable]] = {}
        self._lock = threading.RLock()
        self._local = threading.local()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """What this thread asks of the disk inside the block it asks once, and again after a write of its own.

        Only for whoever keeps everybody else from writing meanwhile.
        """
        if self._seen is not None:
            yield
            return
        self._local.seen = _Seen()
        try:
            yield
        finally:
            self._local.seen = None

    @property
    def _seen(self) -> _Seen | None:
        return getattr(self._local, "seen", None)

    def version(self, name: str) -> int | None:
        """Number of the table's newest version; None when it was never written."""
        seen = self._seen
        if seen is None:
            return max(self.versions(name), default=None)
        if name not in seen.versions:
            seen.versions[name] = max(self.versions(name), default=None)
        return seen.versions[name]

    def versions(self, name: str) -> list[int]:
        """Numbers of the table's versions, in no order."""
        try:
            return [int(entry[:-5]) for entry in os.listdir(self._log(name)) if _is_entry(entry)]
        except FileNotFoundError:
            return []

    def exists(self, name: str) -> bool:
        return self.version(name) is not None

    def children(self, name: str) -> tuple[str, ...]:
        """Names of the tables directly under a folder, sorted: the partitions of a partitioned asset.

        A folder without a version is what a write left that was never committed: no table.
        """
        seen = self._seen
        if seen is not None and name in seen.children:
            return seen.children[name]
        try:
            with os.scandir(self.root / name) as entries:
                found = tuple(sorted(entry.name for entry in entries if self.exists(f"{name}/{entry.name}")))
        except FileNotFoundError:
            found = ()
        if seen is not None:
            seen.children[name] = found
        return found

    def read(self, name: str) -> Stored:
        """The newest version of a table.

        Raises:
            NoTable: it was never written.
            Damaged: its log or its data are not what was written.
        """
        version, entry = self._newest(name)
        return Stored(self._frame(name, entry), entry.provenance, version)

    def read_at(self, name: str, version: int) -> pd.DataFrame:
        """A table's frame as of one of its versions.

        Raises:
            NoTable: it has no such version.
            Damaged: its log or its data are not what was written.
        """
        stamp = self._stamp(name, version)
        if stamp is None:
            raise NoTable(f"table '{name}' has no version {version}")
        return self._frame(name, self._parsed(name, stamp))

    def provenance_at(self, name: str, version: int) -> Provenance | None:
        """The note of one of a table's versions, without reading its data; None where there is no such version."""
        stamp = self._stamp(name, version)
        return None if stamp is None else self._parsed(name, stamp).provenance

    def provenance(self, name: str) -> Provenance:
        """The newest version's note, without reading its data."""
        return self._newest(name)[1].provenance

    def write(self, name: str, frame: pd.DataFrame, provenance: Provenance) -> int:
        """Overwrite a table, in one atomic commit with its note; returns the new version's number.

        Raises:
            Unavailable: the disk is full, or does not let us write. What was half written is no version.
        """
        # In one chunk: the writer puts several down in an order of its own.
        arrow = to_arrow(frame).combine_chunks()
        stored = from_arrow(arrow)
        content = provenance.data_version if provenance.data_version and _types_stay(frame) else content_hash(stored)
        text = provenance.to_json()
        with self._lock, file_trouble(self._called(name), writing=True):
            handle = self._handle(name)
            write_deltalake(
                handle or self.root / name,
                arrow,
                mode="overwrite",
                schema_mode="overwrite",
                commit_properties=CommitProperties(
                    custom_metadata={PROVENANCE_KEY: text, CONTENT_KEY: content, SEAL_KEY: _seal(text, content)}
                ),
            )
            self._changed(name)
            version, entry = self._newest(name)
            if handle is not None:
                self._handles[name] = (entry.stamp, handle)
        if entry.file is not None:
            CONTENT_CACHE.get(("frame", entry.file), lambda: stored, frame_bytes)
        return version

    def rollback(self, name: str) -> None:
        """Take back the newest version, as if it had never been committed; a table of one version goes altogether."""
        with self._lock, file_trouble(self._called(name)):
            version = self.version(name)
            if version is None:
                return
            self._forget(name)
            for file in Path(self._log(name)).glob(f"{version:020d}.*"):
                file.unlink()
            self._changed(name)
            self.tidy(name)

    def tidy(self, name: str) -> None:
        """Delete what a write left that did not come to its commit: data without a version, a folder without a table.

        Only for whoever knows that nobody is writing the table.
        """
        folder, log = self.root / name, Path(self._log(name))
        versions = self.versions(name)
        if not versions:
            self._forget(name)
            shutil.rmtree(folder, ignore_errors=True)
            self._changed(name)
            return
        kept = {file for version in versions for file in _added(log / f"{version:020d}.json")}
        for data in folder.glob("*.parquet*"):
            if data.name not in kept:
                data.unlink(missing_ok=True)
        for file in log.iterdir():
            number = file.name[:20]
            if "#" in file.name or (number.isdigit() and int(number) not in versions):
                file.unlink(missing_ok=True)

    def tables(self) -> Iterator[str]:
        """Every table's relative name, and that of every folder that was to become one."""
        for log in sorted(self.root.glob("**/_delta_log")):
            yield str(log.parent.relative_to(self.root))

    def damage(self) -> Iterator[str]:
        """What is wrong with the tables on disk, every version of each, in words."""
        for name in self.tables():
            for version in sorted(self.versions(name)):
                try:
                    if (stamp := self._stamp(name, version)) is not None:
                        self._from_disk(name, self._parsed(name, stamp))
                except StorageError as error:
                    yield str(error)

    def close(self) -> None:
        with self._lock:
            self._handles.clear()
            self._entries.clear()

    def _log(self, name: str) -> str:
        return f"{self.root}/{name}/_delta_log"

    def _called(self, name: str) -> str:
        """What a table is called where its owner may read it: relative to the sandbox."""
        return f"{self.root.name}/{name}"

    def _changed(self, name: str) -> None:
        if (seen := self._seen) is not None:
            seen.forget(name)

    def _forget(self, name: str) -> None:
        self._entries.pop(name, None)
        self._handles.pop(name, None)

    def _stamp(self, name: str, version: int) -> Stamp | None:
        """Tells one writing of a version from another; None when there is none."""
        try:
            stat = os.stat(f"{self._log(name)}/{version:020d}.json")
        except FileNotFoundError:
            return None
        return (version, stat.st_mtime_ns, stat.st_ino)

    def _newest(self, name: str) -> tuple[int, _Entry]:
        seen = self._seen
        if seen is not None and name in seen.entries:
            return seen.entries[name].stamp[0], seen.entries[name]
        with file_trouble(self._called(name), passing=NoTable):
            version = self.version(name)
            stamp = None if version is None else self._stamp(name, version)
            if version is None or stamp is None:
                raise NoTable(f"table '{name}' has never been written")
            with self._lock:
                entry = self._entries.get(name)
                if entry is None or entry.stamp != stamp:
                    entry = self._entries[name] = self._parsed(name, stamp)
            if seen is not None:
                seen.entries[name] = entry
            return version, entry

    def _parsed(self, name: str, stamp: Stamp) -> _Entry:
        entry = f"_delta_log/{stamp[0]:020d}.json"
        with file_trouble(f"{self._called(name)}/{entry}"):
            return _parse((self.root / name / entry).read_text(), stamp)

    def _frame(self, name: str, entry: _Entry) -> pd.DataFrame:
        if entry.file is None:
            return self._from_disk(name, entry)
        # By file name for the whole process: a data file never changes, and clones have their files' names in common.
        return CONTENT_CACHE.get(("frame", entry.file), lambda: self._from_disk(name, entry), frame_bytes)

    def _from_disk(self, name: str, entry: _Entry) -> pd.DataFrame:
        with file_trouble(f"{self._called(name)}/{entry.file or ''}"):
            if entry.file is None:
                frame = from_arrow(DeltaTable(self.root / name, entry.stamp[0]).to_pyarrow_table())
            else:
                # The file by itself: a dataset would read `batch=…` folders above it as columns.
                with open(self.root / name / entry.file, "rb") as file:
                    frame = from_arrow(pq.read_table(file))
            # Of no rows Delta keeps no file, and the columns in the order that it had them in before.
            if entry.content and len(frame) and content_hash(frame) != entry.content:
                raise Damaged(f"{self._called(name)}/{entry.file or ''} is not what was written: its content differs")
        return frame

    def _handle(self, name: str) -> DeltaTable | None:
        """The table as delta-rs holds it, at the newest version; opening one anew costs 10 ms and more."""
        version = self.version(name)
        stamp = None if version is None else self._stamp(name, version)
        if stamp is None:
            self._handles.pop(name, None)
            return None
        held, table = self._handles.get(name, (None, None))
        if held == stamp:
            return table
        # Only if what it stands on is still there: a version that was taken back may have come again as another.
        if table is not None and held is not None and self._stamp(name, held[0]) == held:
            table.update_incremental()
        else:
            with file_trouble(f"{self._called(name)}/_delta_log"):
                table = DeltaTable(self.root / name)
        self._handles[name] = (stamp, table)
        return table


def _is_entry(name: str) -> bool:
    return len(name) == 25 and name.endswith(".json")


def _parse(text: str, stamp: Stamp) -> _Entry:
    """A log entry. `file` is the table's only file when the commit overwrote all of it, else None: ask Delta."""
    actions = [json.loads(line) for line in text.splitlines() if line]
    # Every writer leaves it; what other tools write has no note in it.
    info: dict[str, Any] | None = next((action["commitInfo"] for action in actions if "commitInfo" in action), None)
    if info is None:
        raise ValueError("the commit lacks its facts")
    added = [action["add"]["path"] for action in actions if "add" in action]
    whole = info.get("operationParameters", {}).get("mode") == "Overwrite" and len(added) == 1
    provenance, content = info.get(PROVENANCE_KEY), info.get(CONTENT_KEY, "")
    if {PROVENANCE_KEY, CONTENT_KEY, SEAL_KEY} & info.keys() and info.get(SEAL_KEY) != _seal(provenance or "", content):
        raise ValueError("the commit's note is not what was written")
    return _Entry(
        stamp, Provenance.from_json(provenance) if provenance else Provenance(), added[0] if whole else None, content
    )


def _added(entry: Path) -> list[str]:
    """Names of the data files that a log entry added."""
    with file_trouble(entry.name):
        actions = [json.loads(line) for line in entry.read_text().splitlines() if line]
    return [action["add"]["path"] for action in actions if "add" in action]


def _seal(provenance: str, content: str) -> str:
    return digest_of(f"{content} {provenance}".encode())[:16]


def _types_stay(frame: pd.DataFrame) -> bool:
    """Whether every column is stored in the type that it has, so that what is read back is the frame itself."""
    return all(column_type(frame[name]) != "other" for name in frame.columns)
