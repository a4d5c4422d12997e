"""What is left of an episode when it is over, and what is left that should not be.

In: a home and an id; two ends. Out: an `End`, and what differs between two of them; debris. Read from the files of the
home with nothing kept in memory from before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mario_dagster.core.places import truth_folder
from mario_dagster.sandbox.home import TEMPLATES, Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.tables.frames import to_arrow

from .fleet import Line

# Files that come and go while nothing happens to the episode.
FLEETING = ("-wal", "-shm", "lease.json")
UNIQUE = re.compile(r"part-.*\.parquet$")


@dataclass(frozen=True)
class End:
    """How an episode ended.

    Args:
        answers: path -> the body that a server answers with.
        trajectory: its lines.
        tables: name -> its rows in the order in which they are stored, after its schema.
        files: what is in its folder, each with how often; a name that is drawn at random is left out, a hidden file is
            debris.
    """

    answers: Mapping[str, bytes] = field(default_factory=dict)
    trajectory: tuple[str, ...] = ()
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)


def end_of(home: Home, id: str, answers: Mapping[str, bytes]) -> End:
    """An episode as it is on disk, when nobody acts in it."""
    with Sandbox.open(id, home) as sandbox:
        tables = {name: _rows(sandbox.table(name)) for name in sandbox.task.table_names}
    lines = tuple((home.sandbox(id) / "trajectory.jsonl").read_text().splitlines())
    return End(answers, lines, tables, _files(home.sandbox(id)))


def answers_of(line: Line, id: str, paths: tuple[str, ...]) -> dict[str, bytes]:
    """What a server says of an episode, path by path."""
    answers = ((path, line.insist("GET", f"{path}?episode_id={id}")) for path in paths)
    return {path: b"%d %s" % (answer.status, answer.body) for path, answer in answers}


def differences(one: End, other: End) -> list[str]:
    """In what two ends differ, in words."""
    found = []
    for each in fields(End):
        a, b = getattr(one, each.name), getattr(other, each.name)
        if a != b:
            found.append(f"{each.name}: {_first_difference(a, b)}")
    return found


def debris(home: Home) -> list[str]:
    """What killed processes left half made and nobody deleted, after a sweep; by path in the home."""
    home.sweep()
    truth_stores = truth_folder(home.root)
    ids = {info.id for info in home.sandboxes()}
    places = (home.root, home.root / TEMPLATES, truth_stores)
    left = {each for place in places for each in _hidden(place) if each.is_dir()}
    left |= {each for place in places for folder in _shown(place) for each in folder.rglob(".*")}
    left |= {each for each in _shown(truth_stores) if each.name not in ids}
    return sorted(str(each.relative_to(home.root)) for each in left - {truth_stores, home.root / TEMPLATES})


def _hidden(folder: Path) -> Iterator[Path]:
    return folder.glob(".*")


def _shown(folder: Path) -> Iterator[Path]:
    return (each for each in folder.glob("*") if not each.name.startswith("."))


def _rows(frame: Any) -> tuple[str, ...]:
    table = to_arrow(frame)
    return (str(table.schema.remove_metadata()), *map(repr, table.to_pylist()))


def _files(folder: Path) -> dict[str, int]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    names = (str(path.relative_to(folder)) for path in found)
    return dict(Counter(UNIQUE.sub("*.parquet", name) for name in names if not name.endswith(FLEETING)))


def _first_difference(one: Any, other: Any) -> str:
    if isinstance(one, Mapping):
        name = next(name for name in sorted({*one, *other}) if one.get(name) != other.get(name))
        return f"{name} {_first_difference(one.get(name), other.get(name))}"
    if isinstance(one, tuple) and isinstance(other, tuple):
        place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        a, b = (each[place] if place < len(each) else "nothing" for each in (one, other))
        return f"at {place} of {len(one)} and {len(other)}: {_first_difference(a, b)}"
    a, b = str(one), str(other)
    begun = max(0, next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0) - 40)
    return f"{a[begun : begun + 120]} … {b[begun : begun + 120]}"
