"""Where the truth of an episode is kept: twin tables, ledger, gold repairs. Never served, never in the UI.

In: a compiled incident and the twin. Out: the same, for the grader. A folder of its own beside the sandboxes, mode
0700.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mario_dagster.core.errors import Damaged
from mario_dagster.core.files import digest_of, file_trouble, read_json, write_json
from mario_dagster.incidents.compile import Incident
from mario_dagster.incidents.manifest import Ledger
from mario_dagster.tables.frames import content_hash
from mario_dagster.tables.store import Lake, NoTable, Note

TRUTH_FILE = "incident.json"
VAULT_VARIABLE, VAULTS = "MARIO_VAULT", ".vault"


class Vault:
    """One episode's truth, read once and kept."""

    def __init__(self, root: Path):
        self.root = root
        self._lake = Lake(root / "twin")

    def seal(self, incident: Incident, twins: Mapping[tuple[str, ...], Mapping[str, pd.DataFrame]]) -> None:
        """Write the truth of an incident. Readable by this user only.

        Args:
            twins: absent batches -> the twin without them; `()` -> the whole one.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(self.root, 0o700)
        hashes = {}
        for absent, tables in twins.items():
            for table, frame in tables.items():
                name = _twin_name(table, absent)
                self._lake.write(name, frame, Note())
                hashes[name] = content_hash(frame)
        body = {
            "profile": incident.profile,
            "held_out": incident.held_out,
            "pending": list(incident.pending),
            "unavailable": list(incident.unavailable),
            "twin": hashes,
            "gold": [step.to_dict() for step in incident.gold],
            "ledger": incident.ledger.to_json(),
        }
        write_json(self.root / TRUTH_FILE, body)

    def exists(self) -> bool:
        return (self.root / TRUTH_FILE).exists()

    def check(self) -> None:
        """Read what an episode is graded by.

        Raises:
            Damaged: it is missing, or is not what was written.
        """
        _ = self.profile, self.ledger

    def damage(self) -> Iterator[str]:
        """What is wrong with the twins on disk, in words."""
        return self._lake.damage()

    def twin(self, table: str, absent: tuple[str, ...] = ()) -> pd.DataFrame:
        """A table as it would be had nothing gone wrong, but for batches that are not there."""
        try:
            return self._lake.read(_twin_name(table, absent)).frame
        except NoTable:
            raise Damaged(f"truth/{_twin_name(table, absent)} is missing") from None

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
    def gold(self) -> tuple[Mapping[str, Any], ...]:
        """The actions that undo the incident, as dictionaries of `MarioAction` fields."""
        return tuple(self._truth["gold"])

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.from_json(self._truth["ledger"])

    @cached_property
    def lost(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Table -> (key as text, column) of cells whose value is nowhere any more."""
        found: dict[str, set[tuple[str, str]]] = {}
        cells = self.ledger.cells
        gone = cells[cells["lost"].astype(bool)]
        for table, key, column in zip(gone["table"], gone["key"], gone["column"], strict=True):
            found.setdefault(str(table), set()).add((str(key), str(column)))
        return {table: frozenset(cells) for table, cells in found.items()}

    @cached_property
    def _truth(self) -> Mapping[str, Any]:
        return read_json(self.root / TRUTH_FILE, f"truth/{TRUTH_FILE}")


def _twin_name(table: str, absent: tuple[str, ...]) -> str:
    return "/".join((f"without-{'-'.join(absent)}", table)) if absent else table


def vault_folder(root: Path) -> Path:
    named = os.environ.get(VAULT_VARIABLE)
    return Path(named).resolve() if named else root / VAULTS


def vault_of(sandbox: Path) -> Vault | None:
    """The vault of a sandbox folder; None where no incident has struck."""
    vault = Vault(vault_folder(sandbox.parent) / sandbox.name)
    return vault if vault.exists() else None
