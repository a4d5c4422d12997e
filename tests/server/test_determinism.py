"""Two servers in two processes tell the same story of the same seed and actions, byte for byte."""

from __future__ import annotations

from pathlib import Path

import httpx

from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from tests.serving import Server

EPISODES = {
    "first": {"task": "temporal", "split": "train", "seed": 21},
    "second": {"task": "referential", "split": "eval", "seed": 22},
}
READS = [{"action_id": 0}, {"action_id": 1}, {"action_id": 2}, {"action_id": 18}, {"action_id": 14}]


def body(server: Server, path: str, content: dict[str, object]) -> bytes:
    reply = httpx.post(f"{server.url}{path}", json=content, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.content


def test_two_servers_give_identical_bytes_however_sessions_interleave(tmp_path: Path) -> None:
    servers = [Server(tmp_path / "one"), Server(tmp_path / "two")]
    try:
        heard: list[dict[str, list[bytes]]] = []
        for number, server in enumerate(servers):
            names = sorted(EPISODES, reverse=bool(number))
            said = {name: [body(server, "/reset", {**EPISODES[name], "episode_id": name})] for name in names}
            moves = {}
            for name in names:
                with Sandbox.open(name, Home(tmp_path / ("two" if number else "one"))) as sandbox:
                    moves[name] = [*READS, *sandbox.truth_store.solution]
            # The first server plays in turn, move by move; the second one episode after the other.
            turns = [(name, place) for name in names for place in range(len(moves[name]))]
            if not number:
                turns.sort(key=lambda turn: (turn[1], turn[0]))
            for name, place in turns:
                said[name].append(body(server, "/step", {"episode_id": name, "action": moves[name][place]}))
            heard.append(said)
        for name in EPISODES:
            assert len(heard[0][name]) > len(READS) + 5
            for place, (one, two) in enumerate(zip(heard[0][name], heard[1][name], strict=True)):
                assert one == two, (name, place)
    finally:
        for server in servers:
            server.kill()
