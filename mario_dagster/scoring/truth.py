"""Where the truth of an episode is kept: reference tables, damage manifest, solution. Never served, never in the UI.

In: a compiled incident and the reference tables. Out: the same, for the grader. A folder of its own beside the
sandboxes, mode 0700. What grows with rows (reference tables, damage manifest, lost cells) is read when asked for and
kept within the process's budget, if at all: a truth store that is held open holds none of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mario_dagster.core.errors import Damaged
from mario_dagster.core.files import digest_of, file_trouble, read_json, replace_file, write_json
from mario_dagster.core.places import truth_folder
from mario_dagster.incidents.compile import Incident
from mario_dagster.incidents.manifest import DamageManifest
from mario_dagster.tables.content_cache import CONTENT_CACHE
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.store import Lake, NoTable, Provenance

from .lost import LostCells

TRUTH_FILE, DAMAGE_FILE, LOST = "incident.json", "damage.json", "lost"
# What a lost cell takes in memory, more or less.
LOST_CELL_BYTES = 256


class TruthStore:
    """One episode's truth."""

    def __init__(self, root: Path):
        self.root = root
        self._lake = Lake(root / "reference")

    def seal(self, incident: Incident, reference_tables: Mapping[tuple[str, ...], Mapping[str, pd.DataFrame]]) -> None:
        """Write the truth of an incident. Readable by this user only.

        Args:
            reference tables: absent batches -> the reference without them; `()` -> the whole one.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(self.root, 0o700)
        hashes = {}
        for absent, tables in reference_tables.items():
            for table, frame in tables.items():
                name = _reference_name(table, absent)
                self._lake.write(name, frame, Provenance())
                hashes[name] = content_hash(frame)
        damage_manifest = incident.damage_manifest.to_json().encode()
        body = {
            "profile": incident.profile,
            "held_out": incident.held_out,
            "pending": list(incident.pending),
            "unavailable": list(incident.unavailable),
            "reference": hashes,
            "solution": [step.to_dict() for step in incident.solution],
            "landed_as": incident.damage_manifest.landed_as,
            LOST: incident.damage_manifest.lost,
            "damage": digest_of(damage_manifest),
        }
        replace_file(self.root / DAMAGE_FILE, damage_manifest)
        write_json(self.root / TRUTH_FILE, body)

    def exists(self) -> bool:
        return (self.root / TRUTH_FILE).exists()

    def check(self) -> None:
        """Read all of the truth but the reference tables.

        Raises:
            Damaged: it is missing, or is not what was written.
        """
        _ = self.lost, self._damage_bytes()

    def damage(self) -> Iterator[str]:
        """What is wrong with the reference tables on disk, in words."""
        yield from self._lake.damage()
        yield from (f"truth/{name} is missing" for name in self._truth["reference"] if not self._lake.exists(name))

    def reference(self, table: str, absent: tuple[str, ...] = ()) -> pd.DataFrame:
        """A table as it would be had nothing gone wrong, but for batches that are not there."""
        try:
            return self._lake.read(_reference_name(table, absent)).frame
        except NoTable:
            raise Damaged(f"truth/{_reference_name(table, absent)} is missing") from None

    @cached_property
    def key(self) -> str:
        """Names the truth: equal for clones of one incident, different for any other."""
        with file_trouble(f"truth/{TRUTH_FILE}"):
            return digest_of((self.root / TRUTH_FILE).read_bytes())[:16]

    @property
    def profile(self) -> str:
        return str(self._truth["profile"])

    @property
    def held_out(self) -> bool:
        return bool(self._truth["held_out"])

    @property
    def pending(self) -> tuple[str, ...]:
        """Batches that had not been loaded when the incident struck."""
        return tuple(self._truth["pending"])

    @property
    def unavailable(self) -> tuple[str, ...]:
        """Batches of them that the producer had announced and not delivered; they may have come since."""
        return tuple(self._truth.get("unavailable", ()))

    @property
    def solution(self) -> tuple[Mapping[str, Any], ...]:
        """The actions that undo the incident, as dictionaries of `MarioAction` fields."""
        return tuple(self._truth["solution"])

    @property
    def landed_as(self) -> Mapping[str, Mapping[str, str]]:
        """Table -> contract column -> the name that it landed under, for the columns that landed in another way."""
        names: Mapping[str, Mapping[str, str]] = self._truth["landed_as"]
        return names

    @property
    def lost(self) -> Mapping[str, LostCells]:
        """Table -> (key as text, column) of cells whose value is nowhere any more."""
        return CONTENT_CACHE.get(("lost", self.key), self._lost, _lost_bytes)

    def damage_manifest(self) -> DamageManifest:
        """All that the incident changed. A row for each cell is long, so it is read when asked for and not kept."""
        return DamageManifest.from_json(self._damage_bytes().decode())

    @cached_property
    def _truth(self) -> Mapping[str, Any]:
        return {name: value for name, value in self._read().items() if name != LOST}

    def _damage_bytes(self) -> bytes:
        expected = self._truth["damage"]
        with file_trouble(f"truth/{DAMAGE_FILE}"):
            data = (self.root / DAMAGE_FILE).read_bytes()
        if digest_of(data) != expected:
            raise Damaged(f"truth/{DAMAGE_FILE} is not what was written: its digest differs")
        return data

    def _lost(self) -> Mapping[str, LostCells]:
        return {
            table: frozenset((key, column) for column, keys in columns.items() for key in keys)
            for table, columns in self._read()[LOST].items()
        }

    def _read(self) -> Mapping[str, Any]:
        """The truth's file, of a kind that tells what is lost and how columns landed."""
        body = read_json(self.root / TRUTH_FILE, f"truth/{TRUTH_FILE}")
        if not body.keys() >= {"profile", "solution", "landed_as", LOST, "damage"}:
            raise Damaged(f"truth/{TRUTH_FILE} is of an older kind: it does not tell all that an episode is graded by")
        return body


def _lost_bytes(lost: Mapping[str, LostCells]) -> int:
    return LOST_CELL_BYTES * sum(map(len, lost.values()))


def _reference_name(table: str, absent: tuple[str, ...]) -> str:
    return "/".join((f"without-{'-'.join(absent)}", table)) if absent else table


def truth_store_of(sandbox: Path) -> TruthStore | None:
    """The truth store of a sandbox folder; None where no incident has struck."""
    truth_store = TruthStore(truth_folder(sandbox.parent) / sandbox.name)
    return truth_store if truth_store.exists() else None
