"""The journal of an episode: one line a step, in the same transaction as everything the step did.

In: what a step did, as JSON. Out: the lines so far, oldest first. A line is written to Dagster's own key-value storage
inside the step's transaction, so that runs, events and line are there together or not at all; `trajectory.jsonl` beside
it is the copy people and tools read, appended and flushed before a reply goes out, and mended when a process died
between the two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mario_dagster.assets.lake import Lake

from .instance import SandboxInstance

PREFIX = "mario/step/"
TRAJECTORY = "trajectory.jsonl"
Line = dict[str, Any]
# A range of keys, which the index on `key` serves; "0" is the character after "/".
_OURS, _BOUNDS = "FROM kvs WHERE key >= ? AND key < ?", (PREFIX, PREFIX[:-1] + "0")


class Journal:
    """The lines of one sandbox."""

    def __init__(self, root: Path, instance: SandboxInstance):
        self._file = root / TRAJECTORY
        self._instance = instance

    def lines(self) -> list[Line]:
        """Every line, oldest first; line 0 tells how the episode began."""
        with self._instance.database.driver() as driver:
            rows = driver.execute(f"SELECT value {_OURS} ORDER BY key", _BOUNDS).fetchall()
        return [json.loads(value) for (value,) in rows]

    def count(self) -> int:
        """How many lines there are."""
        with self._instance.database.driver() as driver:
            return int(driver.execute(f"SELECT COUNT(*) {_OURS}", _BOUNDS).fetchone()[0])

    def record(self, line: Line) -> None:
        """Keep one more line, in the transaction that is open."""
        text = json.dumps(line, sort_keys=True, allow_nan=False)
        self._instance.run_storage.set_cursor_values({f"{PREFIX}{self.count():06d}": text})

    def publish(self, line: Line) -> None:
        """Append a committed line to the trajectory file and see it off to the system."""
        with self._file.open("a") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()

    def mend(self) -> None:
        """Bring the trajectory file to the lines that were committed, after a process died on the way."""
        lines = [json.dumps(line, sort_keys=True) for line in self.lines()]
        held = self._file.read_text() if self._file.exists() else ""
        wanted = "".join(f"{line}\n" for line in lines)
        if held != wanted:
            self._file.write_text(wanted)


def roll_back_orphans(lake: Lake, instance: SandboxInstance) -> list[str]:
    """Take back table versions whose run was never committed: a step that died half-way. Returns the tables concerned.

    Call it inside a transaction: then no other process is in the middle of a step.
    """
    taken: list[str] = []
    for name in lake.tables():
        while lake.exists(name):
            run_id = lake.note(name).run_id
            if not run_id or instance.has_run(run_id):
                break
            lake.rollback(name)
            taken.append(name)
    return taken
