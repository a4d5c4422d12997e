"""The history of drills: what is kept, what is picked next, whether it gets better; and the commands at a terminal."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from mario_dagster.cli.app import app
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.files import append_json_line
from mario_dagster.core.registry import task, tasks
from mario_dagster.incidents.profiles import draw, profiles
from mario_dagster.play.drills import BROKEN_OFF, FILE, Drill, DrillLog, trend
from mario_dagster.play.picking import pick

MARIO = [sys.executable, "-m", "mario_dagster.cli"]
OVER = Drill(
    "a", "2025-01-01T00:00:00+00:00", "events", "train", 1, 10.0, 9, "commit_failure", 0.4, False, 2, 0, "family"
)


# --- what is picked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held_out", [False, True])
def test_every_family_is_drilled_once_before_any_is_drilled_again_and_no_seed_twice(held_out: bool) -> None:
    referential = task("referential")
    families = {
        (split, each.name)
        for split in ("train", "eval")
        for each in profiles(referential, split)
        if each.held_out is held_out
    }
    draws, drills, drawn = random.Random(1), [], []
    for number in range(2 * len(families)):
        options = pick(drills, referential, held_out=held_out, draws=draws, episode_id=f"drill-{number}")
        # What is started says nothing of the family but by its seed.
        assert options.profile is None and options.episode_id == f"drill-{number}"
        drills.append(replace(OVER, task="referential", split=options.split, seed=options.seed))
        drawn.append((options.split, draw(referential, options.split, options.seed).name))
    assert set(drawn[: len(families)]) == families == set(drawn[len(families) :])
    assert len({(each.split, each.seed) for each in drills}) == len(drills)


def test_an_incident_is_of_any_task_and_a_drill_of_one_that_is_gone_is_in_nobody_s_way() -> None:
    gone = [replace(OVER, task="gone")]
    draws = random.Random(2)
    picked = {pick(gone, None, held_out=False, draws=draws, episode_id="d").task.slug for _ in range(60)}
    assert picked == {each.slug for each in tasks()}
    with pytest.raises(UnknownName):
        pick(gone, replace(task("events"), slug="gone"), held_out=False, draws=draws, episode_id="d")


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_drill_that_was_never_ended_is_broken_off_and_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / FILE
    begun = {"event": "begun", "id": "one", "begun_at": OVER.begun_at, "task": "events", "split": "eval", "seed": 4}
    append_json_line(file, begun)
    append_json_line(file, {"event": "step", "id": "one", "minutes": 1.5, "steps": 3})
    with file.open("ab") as torn:
        torn.write(b'{"event": "ended", "id": "one", "min')
    append_json_line(file, {"event": "begun", "id": "by hand"})
    append_json_line(file, {**begun, "id": "two", "of another version": 1})
    one, two = DrillLog(tmp_path).drills()
    assert (one.id, one.minutes, one.steps, one.end, one.over) == ("one", 1.5, 3, BROKEN_OFF, False)
    assert two.id == "two"


def test_the_newest_drills_are_held_against_those_before_them() -> None:
    good = replace(OVER, minutes=4.0, score=0.9, published=True, collateral=0)
    assert trend([]).newest is None
    alone = trend([OVER, replace(OVER, end=BROKEN_OFF)])
    assert alone.newest and alone.newest.drills == 1 and alone.before is None
    found = trend([OVER] * 7 + [good] * 5)
    assert found.newest and found.before
    assert (found.newest.drills, found.newest.score, found.newest.published, found.newest.minutes) == (5, 0.9, 1, 4)
    assert (found.before.drills, found.before.score, found.before.published, found.before.collateral) == (5, 0.4, 0, 2)


# --- at a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["play"], "is for a person at a terminal"),
        (["drill"], "`mario demo` shows an incident"),
        (["drill", "--json"], "--json goes with --history"),
    ],
)
def test_without_a_terminal_it_says_what_to_do(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1 and said in done.stderr


@contextmanager
def terminal(*arguments: str, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, bytearray]]:
    """The command at a terminal of its own; what it wrote so far grows as it writes."""
    mine, its = pty.openpty()
    environment = {**os.environ, "MARIO_HOME": str(home), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen([*MARIO, *arguments], stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    written = bytearray()

    def read() -> None:
        try:
            while said := os.read(mine, 65536):
                written.extend(said)
        except OSError:  # the other end is gone
            pass

    reader = Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, mine, written
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        os.close(mine)


def soon(true: Callable[[], bool]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_drill_that_is_killed_can_be_gone_on_with_and_left(tmp_path: Path) -> None:
    with terminal("drill", "ingestion", home=tmp_path) as (process, _, _):
        soon(lambda: bool(DrillLog(tmp_path).drills()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    history = [*MARIO, "drill", "--history", "--json"]
    environment = {**os.environ, "MARIO_HOME": str(tmp_path)}
    told = json.loads(subprocess.run(history, env=environment, capture_output=True, check=True).stdout)
    (drill,) = told["drills"]
    assert (drill["end"], drill["task"], drill["family"], told["trend"]["newest"]) == (
        BROKEN_OFF,
        "ingestion",
        "",
        None,
    )
    with terminal("drill", "--resume", "latest", home=tmp_path) as (process, keys, written):
        soon(lambda: b"step 0/" in written)
        os.write(keys, b"q")
        assert process.wait(30) == 0
        soon(lambda: b"left after 0 steps; go on with" in written)
    assert b"drill --resume" in written
    assert json.loads((tmp_path / FILE).read_text().splitlines()[-1])["event"] == "step"
