"""The lease of a sandbox: who is in the middle of a step, or died there.

In: a step about to begin, inside its transaction. Out: whether the step before it came to its end. Tables are written
outside the database, so a process that dies in a step leaves table versions that belong to no run. It also leaves its
lease: a file with a token that the step's transaction would have recorded at its end. Whoever holds the write lock and
finds another token in the file than in the database knows that nobody is acting, and that somebody did not finish.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from mario_dagster.core.files import file_trouble

from .journal import Journal

LEASE, KEY = "lease.json", "mario/lease"


@dataclass(frozen=True)
class Lease:
    """Who acts, or acted last.

    Args:
        step: the step that it was taken for.
    """

    token: str
    step: int
    pid: int
    host: str


class Leases:
    """The lease of one sandbox. Only for whoever holds the database's write lock."""

    def __init__(self, root: Path, journal: Journal):
        self._file = root / LEASE
        self._journal = journal
        self._token = ""

    def take(self, step: int) -> None:
        """Say that a step begins.

        Raises:
            Unavailable: the file cannot be written now, so no step may begin.
        """
        self._token = secrets.token_hex(8)
        lease = Lease(self._token, step, os.getpid(), socket.gethostname())
        with file_trouble(LEASE, writing=True):
            self._file.write_text(json.dumps(asdict(lease)))

    def settle(self) -> None:
        """Say, as part of the step's transaction, that it comes to its end."""
        self._journal.keep(KEY, self._token)

    def unsettled(self) -> bool:
        """Whether a step began that did not come to its end."""
        if not self._file.exists():
            return False
        holder = self.holder()
        return holder is None or holder.token != self._journal.kept(KEY)

    def drop(self) -> None:
        """What an unfinished step left is taken back."""
        with file_trouble(LEASE, writing=True):
            self._file.unlink(missing_ok=True)

    def holder(self) -> Lease | None:
        """Who acts, or acted last; None where nobody has since the file was last dropped, or died writing it."""
        with file_trouble(LEASE, passing=FileNotFoundError):
            try:
                return Lease(**json.loads(self._file.read_bytes()))
            except (FileNotFoundError, ValueError, TypeError):
                return None
