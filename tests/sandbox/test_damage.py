"""One file of an episode is damaged, in every way that a file can be: its answers stay true, or say what is wrong.

A cell is a kind of file, a kind of damage, and whether the server had the episode open. In each, the damaged episode is
answered 200 and as an undamaged one is, or 410 with the file's name, or 503 for what may come back; every other episode
is whole; and when the file is restored, the very next request succeeds. The server without the episode open keeps
nothing in memory either, so that it reads what is on disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from mario_dagster.sandbox.home import DAMAGED
from tests.serving import REPO, Server, confinement

from .damaging import (
    BY_CONTENT,
    BY_PERMISSION,
    DAMAGES,
    ELSEWHERE,
    FORBIDDEN,
    INCIDENT,
    KINDS,
    LOG,
    READS,
    REPLAY,
    Answer,
    Damage,
    Kind,
    Workspace,
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    before = confinement()
    made = Workspace(tmp_path_factory.mktemp("damage"), () if before is None else before)
    yield made
    made.close()


def damages(kinds: Sequence[str] = DAMAGES) -> list[str]:
    """Those that this machine lets us try."""
    return [kind for kind in kinds if kind in BY_CONTENT or confinement() is not None]


# --- the matrix -------------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """One damaged episode, asked everything."""

    workspace: Workspace
    server: Server
    kind: Kind
    damage: Damage
    id: str
    faults: list[str] = field(default_factory=list)

    def play(self) -> list[str]:
        """What is wrong with the answers; nothing is what is wanted."""
        self.damage.do()
        answered = {path: self.workspace.ask(self.server, "GET", path, self.id) for path in READS}
        answered["/step"] = self.workspace.step(self.server, self.id, self.kind.action)
        told = answered["/step"].status == 200 and any(each in answered["/step"].text for each in self.kind.told)
        for path, answer in answered.items():
            if not told or path != "/step":
                self._judge(path, answer)
        self._others()
        if told:
            return self._told()
        played = answered["/step"].status == 200
        if not played or self.damage.kind in BY_PERMISSION:
            self.damage.restore()
        if not played:
            self._same("/step, the file restored", self.workspace.step(self.server, self.id, self.kind.action), "/step")
        for path in READS:
            self._same(f"{path} after", self.workspace.ask(self.server, "GET", path, self.id), f"{path} after")
        if self.workspace.trajectory(self.server, self.id) != self._expected["trajectory"].text:
            self.faults.append("trajectory.jsonl is not what was played")
        return self.faults

    @property
    def _expected(self) -> Mapping[str, Answer]:
        return self.workspace.undamaged(self.kind.action["action_id"])

    def _told(self) -> list[str]:
        """The step failed for a reason that it gave: with the file restored, the same action does what it does."""
        self.damage.restore()
        again, wanted = self.workspace.step(self.server, self.id, self.kind.action), self._expected["/step"]
        if again.status != 200 or _result(again) != _result(wanted):
            self.faults.append(f"/step, the file restored: {again.status} {_result(again)}")
        return self.faults

    def _judge(self, path: str, answer: Answer) -> None:
        refused = 410 if self.damage.kind in BY_CONTENT else 503
        if answer.status == 200:
            self._same(path, answer, path)
        elif answer.status not in (refused, 503):
            self.faults.append(f"{path}: {answer}")
        elif answer.status == 410 and not any(name in answer.text for name in self.kind.names):
            self.faults.append(f"{path} names no file: {answer}")
        elif answer.status == 410 and "estore" not in answer.text:
            self.faults.append(f"{path} does not say what to do: {answer}")
        if FORBIDDEN.search(answer.text):
            self.faults.append(f"{path} says too much: {answer}")

    def _same(self, what: str, answer: Answer, expected: str) -> None:
        wanted = self._expected[expected]
        if answer != wanted:
            place = next((i for i, (a, b) in enumerate(zip(answer.text, wanted.text, strict=False)) if a != b), 0)
            begun = max(0, place - 60)
            told = answer if answer.status != 200 else f"… {answer.text[begun : begun + 160]} …"
            self.faults.append(f"{what} is not the truth: {told}")

    def _others(self) -> None:
        for id, expected in self.workspace.siblings.items():
            answer = self.workspace.ask(self.server, "GET", "/state", id)
            if answer != expected:
                self.faults.append(f"/state of {id}: {answer}")
        fresh = self.workspace.ask(self.server, "POST", "/reset", f"fresh-{self.id}", INCIDENT)
        if fresh != self.workspace.first:
            self.faults.append(f"a fresh reset: {fresh}")


def _result(answer: Answer) -> str:
    return str(json.loads(answer.text).get("observation", {}).get("action_result"))


def played_cell(workspace: Workspace, kind: Kind, damage: str, held_open: bool) -> list[str]:
    server = workspace.open if held_open else workspace.cold
    id = workspace.episode(server if held_open else None)
    broken = Damage(kind.find(workspace.home, id), damage, kind.offset, kind.company)
    try:
        return Cell(workspace, server, kind, broken, id).play()
    finally:
        if broken.kind in BY_PERMISSION:
            broken.restore()
        for each in (id, f"fresh-{id}"):
            workspace.home.remove(each)


def report(found: Mapping[str, Sequence[str]]) -> None:
    lines = [f"{damage}: {each}" for damage, said in found.items() for each in said]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("held_open", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_episode_answers_truly_or_says_what_is_wrong(
    workspace: Workspace, name: str, held_open: bool
) -> None:
    if name == "write-ahead log" and not held_open:
        pytest.skip("there is none of an episode that was closed; of one whose server was killed, see below")
    chosen = [each for each in damages() if not (name == "write-ahead log" and each == "flipped")]
    found = {damage: played_cell(workspace, KINDS[name], damage, held_open) for damage in chosen}
    report(found)


@pytest.mark.parametrize("name", ["database", "write-ahead log"])
def test_a_byte_that_sqlite_cannot_know_of_harms_nobody_else(workspace: Workspace, name: str) -> None:
    # SQLite has no checksums: a flipped byte that still parses may not be noticed, and then only the episode suffers.
    id = workspace.episode(workspace.open)
    Damage(KINDS[name].find(workspace.home, id), "flipped").do()
    answers = [workspace.ask(workspace.open, "GET", path, id) for path in READS] + [
        workspace.step(workspace.open, id, REPLAY)
    ]
    assert all(each.status < 500 or each.status == 503 for each in answers), [*map(str, answers)]
    assert not [each.text for each in answers if FORBIDDEN.search(each.text)]
    assert {
        each: workspace.ask(workspace.open, "GET", "/state", each) for each in workspace.siblings
    } == workspace.siblings
    workspace.home.remove(id)


def test_the_log_of_a_killed_server_is_missed_and_taken_back(workspace: Workspace) -> None:
    server = Server(workspace.home.root, before=workspace.before)
    ids = {damage: workspace.episode(server) for damage in damages()}
    server.kill()
    found = {}
    for damage, id in ids.items():
        broken = Damage(LOG.find(workspace.home, id), damage)
        found[damage] = Cell(workspace, workspace.open, LOG, broken, id).play()
    for id in ids.values():
        workspace.home.remove(id)
        workspace.home.remove(f"fresh-{id}")
    report(found)


TEMPLATE_FILES = (
    "checksums.json",
    "opening.json",
    "sandbox/sandbox.json",
    "sandbox/dagster/event_log.db",
    "sandbox/lake/**/*.parquet",
    "sandbox/lake/**/_delta_log/*.json",
    "truth/incident.json",
    "truth/reference/**/*.parquet",
)


@pytest.mark.parametrize("pattern", TEMPLATE_FILES)
def test_a_damaged_template_is_lived_anew(workspace: Workspace, pattern: str) -> None:
    workspace.home.prune(templates=True)
    first = workspace.ask(workspace.open, "POST", "/reset", f"first-{abs(hash(pattern))}", ELSEWHERE)
    found: dict[str, list[str]] = {}
    for number, damage in enumerate(damages()):
        (template,) = (workspace.home.root / ".templates").iterdir()
        broken = Damage(min(template.glob(pattern)), damage)
        broken.do()
        answer = workspace.ask(workspace.open, "POST", "/reset", f"next-{number}-{abs(hash(pattern))}", ELSEWHERE)
        if damage in BY_PERMISSION:
            broken.restore()
            if answer.status == 503:
                answer = workspace.ask(
                    workspace.open, "POST", "/reset", f"next-{number}-{abs(hash(pattern))}", ELSEWHERE
                )
        found[damage] = [] if answer == first else [f"a fresh reset: {answer}"]
        if (state := workspace.ask(workspace.open, "GET", "/state", "other")) != workspace.siblings["other"]:
            found[damage].append(f"a sibling: {state}")
    report(found)


# --- from the command line --------------------------------------------------------------------------------------------


def mario(workspace: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*workspace.before, sys.executable, "-m", "mario_dagster.cli", "sandboxes", *words]
    environment = {**os.environ, "MARIO_HOME": str(workspace.home.root)}
    return subprocess.run(command, env=environment, cwd=REPO, capture_output=True, text=True, timeout=120)


def test_damaged_sandboxes_are_listed_checked_and_pruned(workspace: Workspace) -> None:
    cases = {
        workspace.episode(None): (name, damage)
        for name in KINDS
        for damage in damages((*BY_CONTENT, "unreadable"))
        if name != "write-ahead log"
    }
    whole = {info.id for info in workspace.home.sandboxes()} - cases.keys()
    for id, (name, damage) in cases.items():
        Damage(KINDS[name].find(workspace.home, id), damage, KINDS[name].offset).do()

    listed = mario(workspace, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    infos = {info["id"]: info for info in json.loads(listed.stdout)}
    assert infos.keys() == cases.keys() | whole
    marked = {id for id, info in infos.items() if info["status"] == DAMAGED}
    found = {"list marks what is whole": sorted(marked & whole)}
    found["list does not mark"] = [str(case) for id, case in cases.items() if KINDS[case[0]].main and id not in marked]

    checked = mario(workspace, "check", "--json")
    assert checked.returncode == 1, checked.stderr
    said = json.loads(checked.stdout)
    found["check finds in what is whole"] = [str(said[id]) for id in whole if said[id]]
    silent = [(id, case) for id, case in cases.items() if not said[id] and not KINDS[case[0]].copy]
    # A bit of a log entry that nothing is read from (a statistic, a time) may differ, and no answer does.
    found["check says nothing of"] = [str(case) for _, case in silent if case != ("table's log", "flipped")]
    names = {id: KINDS[name].names for id, (name, _) in cases.items()}
    found["check names no file"] = [
        f"{cases[id]}: {said[id]}"
        for id in cases
        if said[id] and not any(name in " ".join(said[id]) for name in names[id])
    ]
    found["check says too much"] = [line for lines in said.values() for line in lines if FORBIDDEN.search(line)]

    pruned = mario(workspace, "prune", "--keep", "0", "--yes", "--json")
    assert pruned.returncode == 0, pruned.stderr
    assert set(json.loads(pruned.stdout)["deleted"]) == infos.keys()
    places = (workspace.home.root, workspace.home.truth_store("x").parent)
    found["prune leaves"] = [each.name for place in places for each in place.iterdir() if each.name in infos]
    report(found)
