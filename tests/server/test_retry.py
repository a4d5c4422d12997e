"""A client that lost a reply gets it: a step that is sent twice is played once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import WebSocketTestSession

from mario_dagster.bench.fuzz import serving
from mario_dagster.core.action import Action
from mario_dagster.env.client import MarioEnv
from mario_dagster.env.episode import Episode
from mario_dagster.env.errors import BadRequest, KeyReused, StepPassed
from mario_dagster.env.keys import keys_in, one_key, played
from mario_dagster.env.models import MarioAction
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from tests.serving import Server

from .retrying import INCIDENT, OTHER, STEP, lines, say


@pytest.fixture
def client(app: Any) -> TestClient:
    return TestClient(app)


@pytest.fixture
def id(client: TestClient) -> str:
    """A new episode, over HTTP."""
    return str(client.post("/reset", json=INCIDENT).json()["episode_id"])


# --- over HTTP --------------------------------------------------------------------------------------------------------

WAYS: list[Any] = [
    pytest.param({}, {"Idempotency-Key": "k 1"}, id="header"),
    pytest.param({"request_id": "k 1"}, {}, id="request_id"),
    pytest.param({"idempotency_key": "k 1"}, {}, id="idempotency_key"),
    pytest.param({"action": {**STEP, "metadata": {"request_id": "k 1"}}}, {}, id="metadata"),
    pytest.param({"request_id": "k 1"}, {"idempotency-key": "k 1"}, id="header and body"),
]


@pytest.mark.parametrize(("body", "headers"), WAYS)
def test_ten_equal_sends_are_one_step(
    client: TestClient, home: Home, id: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    step = {"episode_id": id, "action": STEP, **body}
    answers = [client.post("/step", json=step, headers=headers) for _ in range(10)]
    assert {each.status_code for each in answers} == {200} and len({each.content for each in answers}) == 1
    assert answers[0].json()["observation"]["steps_taken"] == 1
    assert [line.get("request_id") for line in lines(home, id)] == [None, "k 1"]
    # The same key through any other way in is the same key.
    again = client.post("/step", json={"episode_id": id, **STEP, "request_id": "k 1"})
    assert again.content == answers[0].content


def test_without_a_key_every_send_is_a_step(client: TestClient, id: str) -> None:
    for number in (1, 2, 3):
        seen = client.post("/step", json={"episode_id": id, "action": STEP, "request_id": None}).json()
        assert seen["observation"]["steps_taken"] == number


def test_a_key_changes_nothing_that_is_seen_and_adds_one_field_to_the_line(client: TestClient, home: Home) -> None:
    one, two = (client.post("/reset", json=INCIDENT).json()["episode_id"] for _ in range(2))
    with_key = client.post("/step", json={"episode_id": one, "action": STEP, "request_id": "k"}).json()
    without = client.post("/step", json={"episode_id": two, "action": STEP}).json()
    assert {**with_key, "episode_id": ""} == {**without, "episode_id": ""}
    states = [client.get("/state", params={"episode_id": each}).json() for each in (one, two)]
    assert {**states[0], "episode_id": ""} == {**states[1], "episode_id": ""}
    keyed, plain = lines(home, one)[1], lines(home, two)[1]
    assert keyed.pop("request_id") == "k" and keyed == plain


def test_a_key_with_another_action_is_a_422(client: TestClient, id: str) -> None:
    client.post("/step", json={"episode_id": id, "action": STEP, "request_id": "k"})
    for other in (OTHER, {**STEP, "target_column": "name"}):
        reply = client.post("/step", json={"episode_id": id, "action": other, "request_id": "k"})
        assert reply.status_code == 422 and "step 1's, which played remove_duplicates" in reply.json()["detail"]
    assert client.get("/state", params={"episode_id": id}).json()["step_count"] == 1


def test_the_key_of_an_older_step_is_a_409_that_says_where_the_newest_is(client: TestClient, id: str) -> None:
    for key in ("first", "second"):
        client.post("/step", json={"episode_id": id, "action": STEP, "request_id": key})
    reply = client.post("/step", json={"episode_id": id, "action": STEP, "request_id": "first"})
    assert reply.status_code == 409
    assert all(said in reply.json()["detail"] for said in ("step 1", "step 2", "GET /observation"))
    assert client.get("/state", params={"episode_id": id}).json()["step_count"] == 2


BAD_KEYS: list[Any] = ["", "k" * 129, "é", "a\nb", "\x7f", 5, 1.0, True, False, [], ["k"], {}]


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_what_cannot_be_a_key_is_a_422_and_no_step(client: TestClient, id: str, key: Any) -> None:
    metadata = {"episode_id": id, "action": {**STEP, "metadata": {"request_id": key}}}
    for body in ({"episode_id": id, "action": STEP, "request_id": key}, metadata):
        reply = client.post("/step", json=body)
        assert reply.status_code == 422 and "1 to 128 printable ASCII" in reply.json()["detail"]
    assert client.get("/state", params={"episode_id": id}).json()["step_count"] == 0


@pytest.mark.parametrize("key", [b"", b"\xff", b"k" * 129])
def test_a_header_that_cannot_be_a_key_is_a_422(client: TestClient, id: str, key: bytes) -> None:
    reply = client.post("/step", json={"episode_id": id, "action": STEP}, headers={b"idempotency-key": key})
    assert reply.status_code == 422 and "1 to 128 printable ASCII" in reply.json()["detail"]


def test_two_different_keys_are_a_422(client: TestClient, id: str) -> None:
    step = {"episode_id": id, "action": STEP, "request_id": "a"}
    reply = client.post("/step", json=step, headers={"Idempotency-Key": "b"})
    assert reply.status_code == 422 and "one key" in reply.json()["detail"]


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=128))
def test_any_printable_ascii_is_a_key(key: str) -> None:
    assert one_key([None, *keys_in({"request_id": key, "idempotency_key": key, "other": 1})]) == key


def test_sends_at_the_same_time_are_one_step(client: TestClient, home: Home, id: str) -> None:
    for key in ("a", "b"):
        step = {"episode_id": id, "action": STEP, "request_id": key}
        with ThreadPoolExecutor(8) as pool:
            answers = [each.result() for each in [pool.submit(client.post, "/step", json=step) for _ in range(8)]]
        assert {each.status_code for each in answers} == {200} and len({each.content for each in answers}) == 1
    assert len(lines(home, id)) == 3


def test_two_that_have_the_episode_open_play_one_step(home: Home) -> None:
    # As two processes have it: each with a sandbox, a connection and a memory of its own.
    one = Episode.start(reset_options(INCIDENT))
    two = Episode.resume(one.id)
    for round in range(3):
        barrier = threading.Barrier(2)

        def send(episode: Episode, round: int = round, barrier: threading.Barrier = barrier) -> dict[str, Any]:
            barrier.wait()
            return dict(episode.step(Action.from_dict(STEP), f"key {round}").observation)

        with ThreadPoolExecutor(2) as pool:
            seen = list(pool.map(send, (one, two)))
        assert seen[0] == seen[1] and seen[0]["steps_taken"] == round + 1
    for episode in (one, two):
        assert len(episode.sandbox.steps) == 4
        episode.close()


def test_the_last_step_can_be_sent_again_and_none_after_it(client: TestClient, home: Home, id: str) -> None:
    last = {"episode_id": id, "action": 15, "request_id": "last"}
    ended = client.post("/step", json=last)
    assert ended.json()["done"]
    over = client.post("/step", json={**last, "request_id": "one more"}).json()
    assert over["done"] and over["reward"] == 0 and "the episode is over" in over["observation"]["action_result"]
    assert client.post("/step", json=last).content == ended.content
    assert client.post("/step", json={**last, "action": 1}).status_code == 422
    assert len(lines(home, id)) == 2


def test_a_step_that_was_played_is_told_the_same_after_somebody_elses_hands(client: TestClient, home: Home) -> None:
    id = client.post("/reset", json={"task": "temporal", "seed": 4}).json()["episode_id"]
    step = {"episode_id": id, "action": STEP, "request_id": "k"}
    told = client.post("/step", json=step)
    with Episode.resume(id).sandbox as sandbox:
        sandbox.set_workers(3)
    assert client.get("/state", params={"episode_id": id}).json()["resource_level"] == 3
    assert client.post("/step", json=step).content == told.content
    assert client.get("/observation", params={"episode_id": id}).content == told.content
    assert client.post("/step", json={**step, "request_id": "next"}).json()["observation"]["resource_level"] == 3


def test_a_key_holds_over_kill_9_and_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path)
    server.post("/reset", {**INCIDENT, "episode_id": "kept"})
    step = {"episode_id": "kept", "action": STEP, "request_id": "k"}
    told = httpx.post(f"{server.url}/step", json=step, timeout=60)
    # Another process, at the same time: this one.
    monkeypatch.setenv("MARIO_HOME", str(tmp_path))
    here = TestClient(build_app())
    assert here.post("/step", json=step).content == told.content
    for number in (2, 3, 4):
        again = {**step, "request_id": f"k{number}"}
        with ThreadPoolExecutor(2) as pool:
            there = pool.submit(httpx.post, f"{server.url}/step", json=again, timeout=60)
            told, reference = pool.submit(here.post, "/step", json=again).result(), there.result()
        assert told.content == reference.content and told.json()["observation"]["steps_taken"] == number
    # Killed while it plays: whether the step had come to its end or not, sending it again makes it one step.
    lost = {**step, "request_id": "k5"}
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(httpx.post, f"{server.url}/step", json=lost, timeout=60)
        time.sleep(0.02)
        server.kill()
        assert sent.exception() is None or isinstance(sent.exception(), httpx.HTTPError)
    restarted = TestClient(build_app())
    told = restarted.post("/step", json=lost)
    assert told.json()["observation"]["steps_taken"] == 5
    assert restarted.post("/step", json=lost).content == told.content
    assert TestClient(build_app()).get("/observation", params={"episode_id": "kept"}).content == told.content
    assert [line.get("request_id") for line in lines(Home(tmp_path), "kept")] == [None, "k", "k2", "k3", "k4", "k5"]


# --- over /ws ---------------------------------------------------------------------------------------------------------

PLACES: list[Any] = [
    pytest.param(lambda ws, key: say(ws, "step", STEP, request_id=key), id="top"),
    pytest.param(lambda ws, key: say(ws, "step", STEP, idempotency_key=key), id="top, the other name"),
    pytest.param(lambda ws, key: say(ws, "step", {**STEP, "request_id": key}), id="data"),
    pytest.param(lambda ws, key: say(ws, "step", {**STEP, "idempotency_key": key}), id="data, the other name"),
    pytest.param(lambda ws, key: say(ws, "step", {**STEP, "metadata": {"request_id": key}}), id="metadata"),
]


@pytest.mark.parametrize("send", PLACES)
def test_a_message_sent_again_is_one_step(
    home: Home, ws: WebSocketTestSession, send: Callable[[WebSocketTestSession, str], dict[str, Any]]
) -> None:
    say(ws, "reset", INCIDENT)
    told = [send(ws, "k") for _ in range(3)]
    assert told[0]["type"] == "observation" and told[0] == told[1] == told[2]
    assert say(ws, "state")["data"]["step_count"] == 1
    refused = say(ws, "step", OTHER, request_id="k")
    assert refused["type"] == "error" and "another action needs another key" in refused["data"]["message"]
    assert send(ws, "k2")["data"]["observation"]["steps_taken"] == 2
    assert "GET /observation" in send(ws, "k")["data"]["message"]
    id = say(ws, "state")["data"]["episode_id"]
    assert [line.get("request_id") for line in lines(home, id)] == [None, "k", "k2"]


def test_a_key_is_the_same_over_http_and_over_ws(client: TestClient, ws: WebSocketTestSession, id: str) -> None:
    told = client.post("/step", json={"episode_id": id, "action": STEP}, headers={"Idempotency-Key": "k"}).json()
    assert say(ws, "reset", {"episode_id": id, "resume": True})["type"] == "observation"
    assert {**say(ws, "step", STEP, request_id="k")["data"], "episode_id": id} == told
    told = say(ws, "step", OTHER, request_id="k2")["data"]
    again = client.post("/step", json={"episode_id": id, "action": OTHER, "request_id": "k2"}).json()
    assert again == {**told, "episode_id": id}


# --- the client -------------------------------------------------------------------------------------------------------


def test_the_client_sends_a_step_again_and_goes_on() -> None:
    with serving() as (url, home):
        with MarioEnv(base_url=url).sync() as env:
            env.reset(**INCIDENT, episode_id="mine")
            told = env.step(MarioAction(**STEP), request_id="mine-1")
            assert env.step(MarioAction(**STEP, metadata={"request_id": "mine-1"})) == told
        with MarioEnv(base_url=url).sync() as env:
            assert env.reset(episode_id="mine", resume=True) == told
            assert env.step(MarioAction(**STEP), request_id="mine-1") == told
            with pytest.raises(RuntimeError, match="another action needs another key"):
                env.step(MarioAction(**OTHER), request_id="mine-1")
            assert env.step(MarioAction(**STEP)).observation.steps_taken == 2
            assert env.state().step_count == 2
        assert [line.get("request_id") for line in lines(Home(home), "mine")] == [None, "mine-1", None]


# --- the keys themselves ----------------------------------------------------------------------------------------------


def test_a_key_is_held_against_the_lines() -> None:
    told = [
        {"kind": "reset"},
        {"step": 1, "name": "remove_duplicates", "action": STEP, "request_id": "a"},
        {"step": 2, "name": "sample_data", "action": OTHER},
    ]
    assert played(told[:2], "a", STEP) and not played(told, "b", STEP) and not played(told[:1], "a", STEP)
    with pytest.raises(KeyReused):
        played(told, "a", OTHER)
    with pytest.raises(StepPassed):
        played(told, "a", STEP)
    with pytest.raises(BadRequest):
        one_key(["a", "b"])
