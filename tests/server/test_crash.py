"""A crash loses nothing: a server killed between and during steps goes on where it was, to the same end."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from tests.serving import Server

# Batches loaded under a kill are in `bench/test_chaos.py`.
INCIDENT = {"task": "referential", "split": "train", "seed": 11}


def solution(home: Path, episode: str) -> tuple[Mapping[str, Any], ...]:
    with Sandbox.open(episode, Home(home)) as sandbox:
        return sandbox.truth_store.solution


def lines(home: Path, episode: str) -> list[dict[str, Any]]:
    text = (home / episode / "trajectory.jsonl").read_text()
    return [{k: v for k, v in json.loads(line).items() if k != "episode_id"} for line in text.splitlines()]


@pytest.mark.parametrize("delays", [(0.0, 0.03)])
def test_a_killed_server_goes_on_to_the_same_trajectory_and_score(tmp_path: Path, delays: tuple[float, ...]) -> None:
    server = Server(tmp_path)
    server.post("/reset", {**INCIDENT, "episode_id": "undisturbed"})
    server.post("/reset", {**INCIDENT, "episode_id": "killed"})
    moves = solution(tmp_path, "undisturbed")
    for move in moves:
        server.step("undisturbed", move)

    # Killed between steps, then in the middle of steps at several moments; each time restarted and picked up.
    kills = {2: None, 5: delays[0], 8: delays[1]}
    place = 0
    while place < len(moves):
        if place in kills:
            delay = kills.pop(place)
            if delay is None:
                server.kill()
            else:
                with pytest.raises(httpx.HTTPError):
                    _step_and_kill(server, moves[place], delay)
            server = Server(tmp_path)
            # A step that was killed either never happened or is complete: the count says which.
            place = server.steps("killed")
            continue
        server.step("killed", moves[place])
        place += 1
    server.kill()

    assert lines(tmp_path, "killed") == lines(tmp_path, "undisturbed")
    with Sandbox.open("killed", Home(tmp_path)) as a, Sandbox.open("undisturbed", Home(tmp_path)) as b:
        assert a.grade() == b.grade() and a.grade().score >= 0.999
        assert a.signals().commit_ready


def _step_and_kill(server: Server, move: Mapping[str, Any], delay: float) -> None:
    timer = threading.Timer(delay + 0.005, server.kill)
    timer.start()
    try:
        server.step("killed", move, timeout=30)
        timer.join()
        raise httpx.HTTPError("the step was over before the kill")
    finally:
        timer.join()
