"""Episodes watched while they are played: over a real server, by whichever process they are played."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.server import events as server_events
from tests.serving import REPO, Server

# Another process, which knows nothing of the server: an episode of its own on the same home, or steps of one.
PLAY = """
import sys
from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
episode = Episode.resume(sys.argv[1])
for number in sys.argv[2:]:
    episode.step(Action(int(number)))
episode.close()
"""


@contextmanager
def watching(url: str, id: str, headers: Mapping[str, str] = {}) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of an episode as they come: id, event, data; a comment is an event of that name."""
    with (
        httpx.Client(timeout=httpx.Timeout(60), trust_env=False) as client,
        client.stream("GET", f"{url}/episodes/{id}/events", headers=dict(headers)) as reply,
    ):
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        yield _events(reply.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        if not line:
            if event:
                yield event
            event = {}
            continue
        name, _, value = line.partition(": ")
        event[name or "comment"] = json.loads(value) if name == "data" else value


def reset(url: str, **options: Any) -> str:
    reply = httpx.post(f"{url}/reset", json={"task": "ingestion", "seed": 3, **options}, timeout=60, trust_env=False)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["episode_id"])


def step(url: str, id: str, action_id: int) -> None:
    body = {"episode_id": id, "action": {"action_id": action_id}}
    assert httpx.post(f"{url}/step", json=body, timeout=60, trust_env=False).status_code == 200


def elsewhere(home: Home, id: str, *actions: int) -> None:
    """Play in a process of its own."""
    environment = {**os.environ, "MARIO_HOME": str(home.root)}
    words = [sys.executable, "-c", PLAY, id, *map(str, actions)]
    subprocess.run(words, env=environment, cwd=REPO, check=True, timeout=120)


def lines_of(home: Home, id: str) -> list[dict[str, Any]]:
    episode = Episode.resume(id, home)
    try:
        return [dict(line) for line in episode.sandbox.steps]
    finally:
        episode.close()


def test_an_episode_is_seen_to_its_end_by_whichever_process_it_is_played(url: str, home: Home) -> None:
    id = reset(url, episode_id="seen")
    step(url, id, 0)
    with watching(url, id) as events:
        first = [next(events), next(events)]
        assert [(each["id"], each["event"]) for each in first] == [("0", "line"), ("1", "line")]
        assert first[0]["data"]["actor"] == "scheduler" and first[1]["data"]["name"] == "inspect_schema"
        step(url, id, 1)
        assert next(events)["data"]["line"] == 2
        elsewhere(home, id, 2, 15)
        rest = list(events)
    assert [each["event"] for each in rest] == ["line", "line", "end"] and [each["id"] for each in rest] == list("345")
    last, end = rest[-2]["data"], rest[-1]["data"]
    graded = httpx.get(f"{url}/grader", params={"episode_id": id}, trust_env=False).json()
    assert last["done"] and last["name"] == "commit_changes"
    assert end["score"] == last["score"] == graded["score"] and end["done_reason"] == "commit_failure"
    told = [each["data"] for each in (*first, *rest[:-1])]
    recorded = lines_of(home, id)
    assert [each["reward"] for each in told[2:]] == [line["reward"] for line in recorded[3:]]
    assert [each["result"] for each in told] == [line["result"] for n, line in enumerate(recorded) if n != 2]


def test_whoever_comes_again_is_sent_what_came_after_the_last_event(url: str, home: Home) -> None:
    id = reset(url, episode_id="again")
    for action in (0, 1, 2, 15):
        step(url, id, action)
    with watching(url, id, {"Last-Event-ID": "2"}) as events:
        assert [each["id"] for each in events] == ["3", "4", "5"]
    with watching(url, id, {"Last-Event-ID": "4"}) as events:
        assert [each["event"] for each in events] == ["end"]
    # All of it has been seen: an event source is told not to come again.
    over = httpx.get(f"{url}/episodes/{id}/events", headers={"Last-Event-ID": "5"}, trust_env=False)
    assert (over.status_code, over.content) == (204, b"")
    query = httpx.get(f"{url}/episodes/{id}/events?last_event_id=3", trust_env=False).text
    assert query.startswith("id: 4\n")


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "9" * 30, "1 2"])
def test_a_last_event_that_cannot_be_is_refused(url: str, last: str) -> None:
    id = "unread"
    if not Home.default().exists(id):
        reset(url, episode_id=id)
    reply = httpx.get(f"{url}/episodes/{id}/events", headers={"Last-Event-ID": last}, trust_env=False)
    assert reply.status_code == 422 and "last event seen" in reply.json()["detail"]


def test_a_person_s_act_is_seen_when_it_is_written_down(url: str, home: Home) -> None:
    from tests.env.test_engineer import Engineer

    id = reset(url, episode_id="touched", task="temporal")
    with watching(url, id) as events:
        next(events)
        episode = Episode.resume(id, home)
        Engineer(episode).scales(episode.sandbox.workers() + 1)
        episode.take_up()
        episode.close()
        line = next(events)["data"]
    assert (line["actor"], line["name"], line["reward"]) == ("engineer", "scale_recovery_workers_up", 0.0)


def test_nothing_of_the_truth_is_told_before_the_end(url: str, home: Home) -> None:
    id = reset(url, episode_id="discreet", split="eval")
    step(url, id, 14)
    episode = Episode.resume(id, home)
    shown, true, profile = episode.state()["current_score"], episode.sandbox.grade().score, episode.sandbox.profile
    episode.close()
    with watching(url, id) as events:
        told = [next(events), next(events)]
    assert told[-1]["data"]["score"] == shown != round(true, 4)
    known = {"line", "step", "actor", "name", "action", "words", "table", "status", "result", "failing_checks"}
    known |= {"minutes", "reward", "score", "done", "done_reason", "success"}
    for each in told:
        assert each["data"].keys() == known
        assert profile not in json.dumps(each)


def test_many_may_watch_and_the_server_still_answers(url: str, home: Home) -> None:
    id = reset(url, episode_id="crowded")
    seen: list[int] = []

    def watch() -> None:
        with watching(url, id) as events:
            seen.append(sum(each["event"] == "line" for each in events))

    # More than the threads that requests are answered by.
    threads = [threading.Thread(target=watch) for _ in range(60)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    for action in (0, 15):
        step(url, id, action)
    for thread in threads:
        thread.join(60)
    assert seen == [3] * 60


def test_whoever_goes_leaves_no_file_open(url: str, home: Home) -> None:
    # Not by the server: SQLite lets a file go once nobody in the process has a lock on it, as an open episode has.
    id = "left"
    Episode.start(reset_options({"task": "ingestion", "episode_id": id}), home=home).close()
    path = str(home.sandbox(id) / "dagster" / "event_log.db")

    def held() -> int:
        folder = Path("/proc/self/fd")
        found = []
        for file in folder.iterdir():
            try:
                found.append(os.readlink(file) == path)
            except FileNotFoundError:  # the one that was opened to look
                continue
        return sum(found)

    before = held()
    for _ in range(3):
        with watching(url, id) as events:
            next(events)
            assert held() > before
    deadline = time.monotonic() + 10
    while held() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert held() == before


def test_an_episode_that_is_deleted_ends_with_an_error(url: str, home: Home) -> None:
    id = reset(url, episode_id="deleted")
    with watching(url, id) as events:
        next(events)
        home.remove(id)
        (last,) = list(events)
    assert last["event"] == "error" and last["data"] == {"detail": "episode 'deleted' has been deleted", "status": 404}


def test_a_stream_is_kept_alive(url: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_events, "KEEP_ALIVE_SECONDS", 0.3)
    id = reset(url, episode_id="alive")
    with watching(url, id) as events:
        next(events)
        assert next(events) == {"comment": "keep-alive"}


def test_a_server_that_is_stopped_ends_its_streams(tmp_path: Path) -> None:
    server = Server(tmp_path)
    ended: list[list[dict[str, Any]]] = []

    def watch() -> None:
        with watching(server.url, "stopped") as events:
            ended.append(list(events))

    try:
        reset(server.url, episode_id="stopped")
        thread = threading.Thread(target=watch)
        thread.start()
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=20)
        thread.join(20)
    finally:
        if server.process.poll() is None:
            server.kill()
    # The answer was brought to its end: a client is not told of half an answer.
    assert [[each["event"] for each in events] for events in ended] == [["line"]]
