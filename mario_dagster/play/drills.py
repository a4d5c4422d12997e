"""The history of drills: a file of JSON lines in the home, one line an event, folded into one `Drill` an episode.

In: what happens in a drill, as it happens. Out: drills with their minutes, steps and ends, and whether it gets better.
A drill whose end was never written was broken off, by whatever: it has the minutes up to its last step, and can be
resumed as long as its sandbox is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from mario_dagster.core.files import append_json_line, read_json_lines
from mario_dagster.env.episode_state import SUCCESSES

from .session import Seen

FILE = "drills.jsonl"
BROKEN_OFF = "broken off"
# How many of the newest drills are held against as many before them.
RECENT = 5


@dataclass(frozen=True)
class Drill:
    """One drill.

    Args:
        minutes: by the clock on the wall, over all its sittings; the pauses between them are nobody's.
        end: why it is over, or that it was broken off.
        published: rightly published; or rightly held back.
        family: of the incident, told once it is over.
    """

    id: str
    begun_at: str
    task: str
    split: str
    seed: int
    minutes: float = 0.0
    steps: int = 0
    end: str = BROKEN_OFF
    score: float | None = None
    published: bool | None = None
    collateral: int | None = None
    guessed: int | None = None
    family: str = ""

    @property
    def over(self) -> bool:
        return self.end != BROKEN_OFF


_FIELDS = {field.name for field in fields(Drill)}
# What a line must have for a drill to have begun by it; one that lacks it was written by hand, and is passed over.
_NEEDED = {"id", "begun_at", "task", "split", "seed"}


class DrillLog:
    """The file."""

    def __init__(self, home: Path):
        self._path = home / FILE

    def drills(self) -> tuple[Drill, ...]:
        """Every drill, oldest first."""
        found: dict[str, Drill] = {}
        for line in read_json_lines(self._path):
            id, facts = str(line.get("id")), {name: line[name] for name in line if name in _FIELDS}
            if line.get("event") == "begun" and facts.keys() >= _NEEDED:
                found[id] = Drill(**facts)
            elif id in found:
                found[id] = replace(found[id], **facts)
        return tuple(found.values())

    def drill(self, id: str) -> Drill | None:
        """The drill of that id."""
        return next((each for each in self.drills() if each.id == id), None)

    def begun(self, seen: Seen) -> None:
        """A drill has begun. Its family is not written down while it goes on."""
        incident = seen.incident
        facts = {"task": incident.task, "split": incident.split, "seed": incident.seed}
        self._write("begun", seen.episode_id, begun_at=datetime.now(UTC).isoformat(timespec="seconds"), **facts)

    def went_on(self, seen: Seen, minutes: float) -> None:
        """A step was made, or the player leaves; where that ended it, how."""
        facts: dict[str, Any] = {"minutes": round(minutes, 2), "steps": seen.steps}
        if seen.ending is None:
            self._write("step", seen.episode_id, **facts)
        else:
            self._write("ended", seen.episode_id, **facts, **_end(seen.observation, seen.ending))

    def _write(self, event: str, id: str, **facts: Any) -> None:
        append_json_line(self._path, {"event": event, "id": id, **facts})


def _end(told: Mapping[str, Any], ending: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "end": told["done_reason"],
        "score": ending["score"],
        "published": told["done_reason"] in SUCCESSES,
        "collateral": ending["collateral_cells"],
        "guessed": ending["guessed_cells"],
        "family": told["scenario_profile"],
    }


class Clock:
    """Minutes of a drill: those of earlier sittings, and those since this one began."""

    def __init__(self, before: float = 0.0):
        self._before, self._since = before, time.monotonic()

    @property
    def minutes(self) -> float:
        return self._before + (time.monotonic() - self._since) / 60


# --- whether it gets better -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Means:
    """Drills that are over, taken together."""

    drills: int
    minutes: float
    steps: float
    score: float
    published: float
    collateral: float
    guessed: float

    @classmethod
    def of(cls, drills: Sequence[Drill]) -> Means:
        names = [field.name for field in fields(cls) if field.name != "drills"]
        means = {name: round(fmean(float(getattr(each, name) or 0) for each in drills), 3) for name in names}
        return cls(len(drills), **means)


@dataclass(frozen=True)
class Trend:
    """The newest drills, and those before them; None where there are none to compare with."""

    newest: Means | None
    before: Means | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def trend(drills: Sequence[Drill]) -> Trend:
    """The newest drills that are over held against as many before them: half of all, and `RECENT` at the most."""
    over = [each for each in drills if each.over]
    size = min(RECENT, (len(over) + 1) // 2)
    newest, before = over[len(over) - size :], over[max(len(over) - 2 * size, 0) : len(over) - size]
    return Trend(Means.of(newest) if newest else None, Means.of(before) if before else None)
