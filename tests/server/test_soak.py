"""Eight sessions, each a whole episode over a real WebSocket, again and again: no error, and nothing left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from mario_dagster.env.client import MarioEnv
from mario_dagster.env.models import MarioAction
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from tests.serving import Server

SESSIONS = 8
# Long episodes beside short ones, so that some end while others are under way.
TASKS = ("referential", "events")


def play(url: str, home: Path, name: str, task: str) -> str:
    with MarioEnv(base_url=url).sync() as env:
        result = env.reset(task=task, seed=30, episode_id=name)
        with Sandbox.open(name, Home(home)) as sandbox:
            solution = sandbox.truth_store.solution
        for move in solution:
            assert not result.done
            result = env.step(MarioAction(**move))
        return str(result.observation.done_reason)


def test_eight_sessions_leave_nothing_behind(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        process = psutil.Process(server.process.pid)

        def round_of(number: int) -> list[str]:
            with ThreadPoolExecutor(SESSIONS) as pool:
                plays = [
                    pool.submit(play, server.url, tmp_path, f"soak-{number}-{place}", TASKS[place % 2])
                    for place in range(SESSIONS)
                ]
                return [each.result(timeout=300) for each in plays]

        assert round_of(0) == ["commit_success"] * SESSIONS
        files, threads = process.num_fds(), process.num_threads()
        assert round_of(1) == ["commit_success"] * SESSIONS
        assert process.num_fds() <= files + SESSIONS
        assert process.num_threads() <= threads + SESSIONS
        assert process.is_running()
    finally:
        server.kill()
