"""Ways to damage a file of an episode, the kinds of files that there are, and episodes to damage."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq

from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.scoring.truth import TruthStore
from tests.serving import REPO, Server

INCIDENT = {"task": "temporal", "split": "train", "seed": 11}
ELSEWHERE = {"task": "ingestion", "split": "train", "seed": 3}
SAMPLE, COMMIT, REPLAY, REFRESH = ({"action_id": number} for number in (2, 15, 18, 19))
READS = ("/state", "/grader", "/observation")
FORBIDDEN = re.compile(
    rf"Traceback|sqlite3|sqlalchemy|\b(SELECT|INSERT|UPDATE|PRAGMA|BEGIN)\b|/(tmp|home|usr)/|{re.escape(str(REPO))}"
)

BY_CONTENT = ("deleted", "truncated", "flipped")
BY_PERMISSION = ("unreadable", "read-only")
FLIP = 0x41
DAMAGES = (*BY_CONTENT, *BY_PERMISSION)


# --- damage -----------------------------------------------------------------------------------------------------------


@dataclass
class Damage:
    """Something done to a file, which `restore` undoes. Files beside it that belong to it are put back with it."""

    path: Path
    kind: str
    offset: int | None = None
    company: tuple[str, ...] = ()
    _held: dict[Path, bytes] = field(default_factory=dict)
    _modes: dict[Path, int] = field(default_factory=dict)

    def do(self) -> None:
        path, data = self.path, self.path.read_bytes()
        assert data, f"{path.name} is empty"
        beside = [path.with_name(path.name + suffix) for suffix in self.company]
        self._held = {path: data, **{each: each.read_bytes() for each in beside if each.exists()}}
        self._modes = {each: each.stat().st_mode & 0o7777 for each in (path, path.parent)}
        if self.kind == "deleted":
            path.rename(self._aside)
        elif self.kind == "truncated":
            os.truncate(path, len(data) // 2)
        elif self.kind == "flipped":
            place = _telling(data) if path.suffix == ".parquet" else len(data) // 2
            with path.open("r+b") as file:
                file.seek(place if self.offset is None else self.offset)
                file.write(bytes([data[place if self.offset is None else self.offset] ^ FLIP]))
        elif self.kind == "unreadable":
            path.chmod(0)
        else:
            path.chmod(0o444)
            path.parent.chmod(0o555)

    def restore(self) -> None:
        if self.kind in BY_PERMISSION:
            for path, mode in self._modes.items():
                # SQLite folds a write-ahead log back, and deletes it, when its last reader goes.
                with suppress(FileNotFoundError):
                    path.chmod(mode)
            return
        if self.kind == "deleted":
            self._aside.replace(self.path)
        for path, data in self._held.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)

    @property
    def _aside(self) -> Path:
        folder = next(each for each in self.path.parents if (each / ".making").exists()).parent / "aside"
        folder.mkdir(exist_ok=True)
        return folder / f"{abs(hash(self.path))}"


def _telling(data: bytes) -> int:
    """A byte of a data file, near its middle, that changes what is read: some are of statistics that nobody reads."""
    whole = pq.read_table(io.BytesIO(data))
    for place in range(len(data) // 2, 0, -1):
        try:
            flipped = bytes((*data[:place], data[place] ^ FLIP, *data[place + 1 :]))
            if not pq.read_table(io.BytesIO(flipped)).equals(whole):
                return place
        except (OSError, ValueError):
            return place
    raise AssertionError("no byte of the file matters")


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        find: where it is, in a home, of an episode.
        names: what an answer that calls it damaged must say, one of them.
        action: the step that is played on the damaged episode; one that needs the file.
        main: `mario sandboxes list` marks an episode whose file of this kind is damaged.
        copy: it is a copy of what the database holds, and is made anew.
        offset: which byte flips; the middle one where that is None.
        company: suffixes of files that are restored with it.
        told: what the step itself may come to instead: producers' files are part of the world that is played in.
    """

    find: Callable[[Home, str], Path]
    names: tuple[str, ...]
    action: Mapping[str, int] = field(default_factory=lambda: REPLAY)
    main: bool = False
    copy: bool = False
    offset: int | None = None
    company: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def in_sandbox(name: str) -> Callable[[Home, str], Path]:
    return lambda home, id: home.sandbox(id) / name


def newest_log(lake: Path, table: str) -> Path:
    return max((lake / table / "_delta_log").glob("*.json"))


def newest_data(lake: Path, table: str) -> Path:
    actions = map(json.loads, newest_log(lake, table).read_text().splitlines())
    return lake / table / next(str(action["add"]["path"]) for action in actions if "add" in action)


def landed(home: Home, id: str) -> Path:
    lake = home.sandbox(id) / "lake"
    batch = max(each.name for each in (lake / "temporal/landed_orders").iterdir())
    return newest_data(lake, f"temporal/landed_orders/{batch}")


def awaited(home: Home, id: str) -> Path:
    batch = TruthStore(home.truth_store(id)).pending[0]
    return home.sandbox(id) / "landing/orders" / f"{batch}.parquet"


DATABASE = Kind(
    in_sandbox("dagster/event_log.db"),
    ("dagster/event_log.db", "episode's database"),
    main=True,
    offset=100,  # what kind of page the first one is
    company=("-wal",),
)
LOG = Kind(in_sandbox("dagster/event_log.db-wal"), DATABASE.names)
KINDS: Mapping[str, Kind] = {
    "sandbox.json": Kind(in_sandbox("sandbox.json"), ("sandbox.json",), copy=True),
    "trajectory": Kind(in_sandbox("trajectory.jsonl"), ("trajectory.jsonl",), copy=True),
    "database": DATABASE,
    "write-ahead log": LOG,
    "dagster.yaml": Kind(in_sandbox("dagster/dagster.yaml"), ("dagster/dagster.yaml",)),
    "table's log": Kind(
        lambda home, id: newest_log(home.sandbox(id) / "lake", "temporal/source_orders"),
        ("lake/temporal/source_orders",),
    ),
    "table's data": Kind(
        lambda home, id: newest_data(home.sandbox(id) / "lake", "temporal/source_orders"),
        ("lake/temporal/source_orders",),
    ),
    "landed partition": Kind(landed, ("lake/temporal/landed_orders",)),
    "published table": Kind(
        lambda home, id: newest_data(home.sandbox(id) / "published", "temporal/source_orders"),
        ("published/temporal/source_orders",),
        COMMIT,
    ),
    "manifest": Kind(in_sandbox("landing/manifest.json"), ("landing/manifest.json",)),
    "landing file": Kind(
        awaited, ("landing/orders",), told=("its checksum differs", "its file is not in the landing zone")
    ),
    "deploys": Kind(in_sandbox("deploys.json"), ("deploys.json",), REFRESH),
    "truth": Kind(lambda home, id: home.truth_store(id) / "incident.json", ("truth/incident.json",), main=True),
    "reference's data": Kind(
        lambda home, id: newest_data(home.truth_store(id) / "reference", "source_orders"),
        ("truth/source_orders", "reference/source_orders"),
    ),
    "reference's log": Kind(
        lambda home, id: newest_log(home.truth_store(id) / "reference", "source_orders"),
        ("truth/source_orders", "reference/source_orders"),
    ),
}


# --- episodes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a server said of an episode; its id is left out, so that two episodes' answers can be the same."""

    status: int
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text[:240]}"


class Workspace:
    """Servers on one home, an episode that others are cloned from, and what those would be answered."""

    def __init__(self, root: Path, before: Sequence[str]):
        self.home, self.before = Home(root / "home"), before
        with ThreadPoolExecutor() as pool:
            # The second keeps nothing in memory.
            starting = [pool.submit(Server, self.home.root, each, before) for each in ({}, {"MARIO_CACHE_MB": "0"})]
        self.open, self.cold = (each.result() for each in starting)
        self._count = 0
        self._client = httpx.Client(timeout=60)
        self.first = self.ask(self.open, "POST", "/reset", "mother", INCIDENT)
        for action in gold_until_replay(self.home):
            self.open.step("mother", action)
        for id, incident in (("sibling", INCIDENT), ("other", ELSEWHERE)):
            self.ask(self.open, "POST", "/reset", id, incident)
        self.siblings = {id: self.ask(self.open, "GET", "/state", id) for id in ("mother", "sibling", "other")}

    def close(self) -> None:
        self._client.close()
        for server in (self.open, self.cold):
            server.kill()

    def ask(self, server: Server, method: str, path: str, id: str, body: Mapping[str, Any] | None = None) -> Answer:
        sent: dict[str, Any] = {"params": {"episode_id": id}} if body is None else {"json": {**body, "episode_id": id}}
        reply = self._client.request(method, f"{server.url}{path}", **sent)
        return Answer(reply.status_code, reply.text.replace(id, "<id>"))

    def step(self, server: Server, id: str, action: Mapping[str, Any]) -> Answer:
        return self.ask(server, "POST", "/step", id, {"action": action})

    def episode(self, server: Server | None) -> str:
        """A new episode, a copy of the mother with one more step; the server has it open, if one is named."""
        self._count += 1
        id = f"episode-{self._count:03d}"
        with Sandbox.open("mother" if server else self.mother_of_closed, self.home) as mother:
            mother.clone(id).close()
        if server:
            assert self.step(server, id, SAMPLE).status == 200
        return id

    @property
    @cache  # noqa: B019 - one world a module
    def mother_of_closed(self) -> str:
        """An episode that stands where the others do, in nobody's hands."""
        return self.episode(self.cold)

    @cache  # noqa: B019
    def undamaged(self, action: int) -> Mapping[str, Answer]:
        """What an episode is answered that nothing happened to: before a step, to the step, and after it."""
        id = self.episode(self.open)
        before = {path: self.ask(self.open, "GET", path, id) for path in READS}
        step = {"/step": self.step(self.open, id, {"action_id": action})}
        after = {f"{path} after": self.ask(self.open, "GET", path, id) for path in READS}
        return {**before, **step, **after, "trajectory": Answer(200, self.trajectory(self.open, id))}

    def trajectory(self, server: Server, id: str) -> str:
        """The copy of an episode's lines after one more step, with which it is mended where it must be."""
        self.step(server, id, SAMPLE)
        return (self.home.sandbox(id) / "trajectory.jsonl").read_text().replace(id, "<id>")


def gold_until_replay(home: Home) -> Iterator[Mapping[str, Any]]:
    for action in TruthStore(home.truth_store("mother")).solution:
        if action["action_id"] == REPLAY["action_id"]:
            return
        yield action
