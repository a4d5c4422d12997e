"""The journal of an episode: one line a step, in the same transaction as everything the step did.

In: what a step did, as JSON. Out: the lines so far, oldest first. A line is written to Dagster's own key-value storage
inside the step's transaction, so that runs, events and line are there together or not at all; each carries its digest.
`trajectory.jsonl` beside it is the copy that people and tools read: appended and flushed just before the transaction
ends, and written anew from the lines when a process died between the two.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from mario_dagster.core.errors import Damaged
from mario_dagster.core.files import digest_of, replace_file
from mario_dagster.runtime import queries
from mario_dagster.runtime.database import DATABASE, Database

PREFIX = "mario/step/"
TRAJECTORY = "trajectory.jsonl"
# A line is kept as its seal, a blank, its text; in the file it is its text and a line's end.
SEAL_LENGTH = 16
Line = dict[str, Any]


class Journal:
    """The lines of one sandbox, and what else its steps leave in Dagster's key-value storage."""

    def __init__(self, root: Path, database: Database):
        self._file = root / TRAJECTORY
        self._database = database
        # How the trajectory file was left: whoever else has written to it has it looked through.
        self._left: tuple[int, int] | None = None

    def lines(self) -> list[Line]:
        """Every line, oldest first; line 0 tells how the episode began.

        Raises:
            Damaged: a line is missing, or is not what was written.
        """
        rows = queries.values_under(self._database, PREFIX)
        if [key for key, _ in rows] != [_key(number) for number in range(len(rows))]:
            raise Damaged("the journal of steps, in the episode's database, lacks a line")
        return [_unsealed(value) for _, value in rows]

    def count(self) -> int:
        """How many lines there are."""
        return queries.count_under(self._database, PREFIX)

    def record(self, line: Line) -> None:
        """Keep one more line, in the transaction that is open, and put it into the trajectory file."""
        text = json.dumps(line, sort_keys=True, allow_nan=False)
        number, size = self._extent()
        self.keep(_key(number), f"{_seal(text)} {text}")
        try:
            if number and (self._mark() != self._left if self._left else self._mark()[0] != size):
                raise FileNotFoundError
            with self._file.open("ab" if number else "wb") as file:
                file.write(f"{text}\n".encode())
            self._left = self._mark()
        except OSError:
            self.mend()

    def mend(self) -> None:
        """Bring the trajectory file to the lines that were committed."""
        wanted = "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in self.lines()).encode()
        # It is a copy: where it cannot be mended now, the episode goes on without, and tries again at the next look.
        self._left, held = None, None
        with contextlib.suppress(OSError):
            held = self._file.read_bytes()
        with contextlib.suppress(OSError):
            if held != wanted:
                replace_file(self._file, wanted)
            self._left = self._mark()

    def catch_up(self) -> None:
        """Mend the trajectory file where the last try did not succeed."""
        if self._left is None:
            self.mend()

    def _mark(self) -> tuple[int, int]:
        """Size and modification time of the trajectory file."""
        stat = self._file.stat()
        return stat.st_size, stat.st_mtime_ns

    def _extent(self) -> tuple[int, int]:
        """How many lines there are, and the bytes that they are in the trajectory file."""
        count, size = queries.extent_under(self._database, PREFIX)
        return count, size - SEAL_LENGTH * count

    def keep(self, key: str, value: str) -> None:
        """Keep a value under a key, in the transaction that is open."""
        queries.put(self._database, key, value)

    def kept(self, key: str) -> str | None:
        """The value kept under a key."""
        return queries.get(self._database, key)

    def amend(self, number: int, line: Line) -> None:
        """Write a line anew, for a copy of an episode that goes by another name."""
        text = json.dumps(line, sort_keys=True, allow_nan=False)
        self.keep(_key(number), f"{_seal(text)} {text}")


def lines_of(root: Path) -> list[Line]:
    """The lines of a sandbox that need not be open. Raises what `Journal.lines` does."""
    database = Database(str(root / "dagster" / DATABASE))
    try:
        return Journal(root, database).lines()
    finally:
        database.dispose()


def _key(number: int) -> str:
    return f"{PREFIX}{number:06d}"


def _seal(text: str) -> str:
    return digest_of(text.encode())[:SEAL_LENGTH]


def _unsealed(value: str) -> Line:
    seal, _, text = value.partition(" ")
    if seal != _seal(text):
        raise Damaged("the journal of steps, in the episode's database, is not what was written")
    line: Line = json.loads(text)
    return line
