"""The landing zone: files as producers deliver them, and the manifest that says what was delivered when.

In: frames by feed and batch. Out: the same frames, checked against their checksum, and the manifest: the facts about
deliveries (rows declared, landing time, checksum) that backlog, lag and `no_landed_row_is_lost` are measured from. A
producer announces a file in the manifest; whether it is there is seen by looking for it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from mario_dagster.core.errors import Damaged, StorageError
from mario_dagster.core.files import digest_of, file_trouble, read_json, replace_file, write_json

from .frames import from_arrow, to_arrow

MANIFEST = "manifest.json"
WORKERS_FLOOR = 2


class LandingError(RuntimeError):
    """A landed file that is not there, or is not what its manifest says."""


@dataclass(frozen=True)
class ManifestEntry:
    """One file that a producer has announced for the landing zone.

    Args:
        rows: rows the producer says it sent, each once; a retried delivery may hold more.
        landed_at: when the file arrived, or was to arrive, UTC; ages count from it.
        sha256: of the file's bytes.
        revision: 0 when first delivered, one more each time the producer sends it again.
    """

    feed: str
    batch: str
    rows: int
    landed_at: datetime
    sha256: str
    revision: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "landed_at": self.landed_at.isoformat()}


@dataclass(frozen=True)
class Manifest:
    """What has landed, and when it is.

    Args:
        now: the incident's clock: ages and lags are measured against it.
        workers_floor: recovery workers that a replay of this feed's batches takes at the least.
    """

    deliveries: tuple[ManifestEntry, ...] = ()
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    workers_floor: int = WORKERS_FLOOR

    def feed(self, feed: str) -> Mapping[str, ManifestEntry]:
        """Batch -> delivery of one feed, in order of batch name."""
        found = {entry.batch: entry for entry in self.deliveries if entry.feed == feed}
        return {batch: found[batch] for batch in sorted(found)}

    def get(self, feed: str, batch: str) -> ManifestEntry:
        entry = self.feed(feed).get(batch)
        if entry is None:
            raise LandingError(
                f"no batch '{batch}' of {feed} has landed; landed: {', '.join(self.feed(feed)) or 'none'}"
            )
        return entry

    def minutes_since(self, moment: datetime) -> float:
        return max(0.0, (self.now - moment).total_seconds() / 60)


class Landing:
    """Landed files under `root/<feed>/<batch>.parquet`, and their manifest."""

    def __init__(self, root: Path):
        self.root = root
        self._cached: tuple[tuple[int, int], Manifest] | None = None

    def manifest(self) -> Manifest:
        """What has landed so far; empty when nothing has."""
        try:
            stat = (self.root / MANIFEST).stat()
        except FileNotFoundError:
            if any(self._feeds()):
                raise Damaged(f"landing/{MANIFEST} is missing") from None
            return Manifest()
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if self._cached is None or self._cached[0] != stamp:
            self._cached = (stamp, _parse(read_json(self.root / MANIFEST, f"landing/{MANIFEST}")))
        return self._cached[1]

    def stamp(self) -> tuple[int, ...] | None:
        """Changes whenever the manifest does, or a file comes or goes."""
        try:
            stat = (self.root / MANIFEST).stat()
        except FileNotFoundError:
            return None
        folders = sorted(each.stat().st_mtime_ns for each in self._feeds())
        return (stat.st_mtime_ns, stat.st_ino, *folders)

    def arrived(self, feed: str, batch: str) -> bool:
        """Whether the file of a batch is there, whatever the manifest says of it."""
        return self._path(feed, batch).exists()

    def deliver(self, drop: Delivery) -> Manifest:
        """Write files, then the manifest that names them: a reader never sees a file half written."""
        # Files without a manifest are what a delivery left that was killed: it is made anew.
        before = self.manifest() if (self.root / MANIFEST).exists() else Manifest()
        held = {(entry.feed, entry.batch): entry for entry in before.deliveries}
        for key, file in drop.files.items():
            held[key] = self._put(key, file, held.get(key), comes=key not in drop.announced)
        manifest = replace(
            before,
            deliveries=tuple(held[key] for key in sorted(held)),
            now=drop.now,
            workers_floor=drop.workers_floor,
        )
        self._save(manifest)
        return manifest

    def read(self, feed: str, batch: str) -> pd.DataFrame:
        """The landed rows of one batch.

        Raises:
            LandingError: nothing was announced under that name, or its file is not there, or its bytes are not those
                that were announced.
        """
        entry = self.manifest().get(feed, batch)
        path = self._path(feed, batch)
        try:
            with file_trouble(f"landing/{feed}/{batch}.parquet"):
                data = path.read_bytes()
        except Damaged:
            raise LandingError(
                f"{feed}/{batch} was announced with {entry.rows} rows, but its file is not in the landing zone: the "
                "producer's upload has not finished, and only the producer can finish it"
            ) from None
        if digest_of(data) != entry.sha256:
            raise LandingError(
                f"the file of batch '{batch}' of {feed} is not what was delivered: its checksum differs; the producer "
                "has to send it again first"
            )
        return from_arrow(pq.read_table(io.BytesIO(data)))

    def damage(self) -> Iterator[str]:
        """What is wrong with the landed files that are there, in words; one that has not come yet is no damage."""
        try:
            entries = self.manifest().deliveries
        except StorageError as error:
            yield str(error)
            return
        for each in entries:
            if self.arrived(each.feed, each.batch):
                try:
                    self.read(each.feed, each.batch)
                except LandingError as error:
                    yield f"landing/{each.feed}/{each.batch}.parquet: {error}"
                except StorageError as error:
                    yield str(error)

    def _feeds(self) -> list[Path]:
        return [each for each in self.root.iterdir() if each.is_dir()] if self.root.is_dir() else []

    def _path(self, feed: str, batch: str) -> Path:
        return self.root / feed / f"{batch}.parquet"

    def _put(
        self, key: tuple[str, str], file: DeliveredFile, before: ManifestEntry | None, comes: bool
    ) -> ManifestEntry:
        """Announce a file, and write it if it comes; where it does not, the one before it is withdrawn all the same."""
        data, path = file_of(file.frame), self._path(*key)
        if comes:
            replace_file(path, data)
        else:
            path.unlink(missing_ok=True)
        revision = before.revision + 1 if before else 0
        return ManifestEntry(*key, file.rows, file.landed_at, digest_of(data), revision)

    def _save(self, manifest: Manifest) -> None:
        body = {
            "now": manifest.now.isoformat(),
            "workers_floor": manifest.workers_floor,
            "deliveries": [entry.to_dict() for entry in manifest.deliveries],
        }
        write_json(self.root / MANIFEST, body)


@dataclass(frozen=True)
class DeliveredFile:
    """What a producer puts into one file: its rows, and what it declares about them."""

    frame: pd.DataFrame
    rows: int
    landed_at: datetime


@dataclass(frozen=True)
class Delivery:
    """Files that land together: (feed, batch) -> file.

    Args:
        announced: those of them that stand in the manifest only: their upload does not finish.
    """

    now: datetime
    files: Mapping[tuple[str, str], DeliveredFile] = field(default_factory=dict)
    workers_floor: int = WORKERS_FLOOR
    announced: frozenset[tuple[str, str]] = frozenset()


def file_of(frame: pd.DataFrame) -> bytes:
    """The bytes of the file that a producer sends for these rows; the same for the same rows."""
    buffer = io.BytesIO()
    pq.write_table(to_arrow(frame), buffer)
    return buffer.getvalue()


def _parse(body: Mapping[str, Any]) -> Manifest:
    with file_trouble(f"landing/{MANIFEST}"):
        deliveries = tuple(
            ManifestEntry(**{**fields, "landed_at": datetime.fromisoformat(fields["landed_at"])})
            for fields in body["deliveries"]
        )
        return Manifest(deliveries, datetime.fromisoformat(body["now"]), body["workers_floor"])
