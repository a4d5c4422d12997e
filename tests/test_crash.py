"""A crash loses nothing: a server killed between and during steps goes on where it was, to the same end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox

REPO = Path(__file__).resolve().parent.parent
INCIDENT = {"task": "temporal", "split": "train", "seed": 11}


class Server:
    """A real server in a process of its own."""

    def __init__(self, home: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mario_dagster.cli", "serve", "--host", "127.0.0.1", "--port", str(self.port)],
            env={**os.environ, "MARIO_HOME": str(home)},
            cwd=REPO,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def post(self, path: str, body: Mapping[str, Any], timeout: float = 60) -> dict[str, Any]:
        reply = httpx.post(f"{self.url}{path}", json=body, timeout=timeout)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def steps(self, episode: str) -> int:
        return int(httpx.get(f"{self.url}/state", params={"episode_id": episode}, timeout=30).json()["step_count"])

    def step(self, episode: str, action: Mapping[str, Any], timeout: float = 60) -> dict[str, Any]:
        return self.post("/step", {"episode_id": episode, "action": action}, timeout)


def gold(home: Path, episode: str) -> tuple[Mapping[str, Any], ...]:
    with Sandbox.open(episode, Home(home)) as sandbox:
        return sandbox.vault.gold


def lines(home: Path, episode: str) -> list[dict[str, Any]]:
    text = (home / episode / "trajectory.jsonl").read_text()
    return [{k: v for k, v in json.loads(line).items() if k != "episode_id"} for line in text.splitlines()]


@pytest.mark.parametrize("delays", [(0.0, 0.02, 0.05)])
def test_a_killed_server_goes_on_to_the_same_trajectory_and_score(tmp_path: Path, delays: tuple[float, ...]) -> None:
    server = Server(tmp_path)
    server.post("/reset", {**INCIDENT, "episode_id": "undisturbed"})
    server.post("/reset", {**INCIDENT, "episode_id": "killed"})
    moves = gold(tmp_path, "undisturbed")
    for move in moves:
        server.step("undisturbed", move)

    # Killed between steps, then in the middle of steps at several moments; each time restarted and picked up.
    kills = {2: None, 4: delays[0], 6: delays[1], 8: delays[2]}
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
    import threading

    timer = threading.Timer(delay + 0.005, server.kill)
    timer.start()
    try:
        server.step("killed", move, timeout=30)
        timer.join()
        raise httpx.HTTPError("the step was over before the kill")
    finally:
        timer.join()
