"""A client that lost its session goes on: it reads the newest answer, and takes the episode up again."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession

from mario_dagster.env.episode import Episode
from mario_dagster.server.app import build_app

from .retrying import INCIDENT, OTHER, STEP, say


@pytest.fixture
def client(app: Any) -> TestClient:
    return TestClient(app)


@pytest.fixture
def id(client: TestClient) -> str:
    """A new episode, over HTTP."""
    return str(client.post("/reset", json=INCIDENT).json()["episode_id"])


# --- the newest observation -------------------------------------------------------------------------------------------


def test_the_newest_observation_is_the_newest_answer(client: TestClient) -> None:
    told = client.post("/reset", json=INCIDENT)
    named = {"params": {"episode_id": told.json()["episode_id"]}}
    assert client.get("/observation", **named).content == told.content  # type: ignore[arg-type]
    for action in (STEP, OTHER, {"action_id": 3}, {"action_id": 15}):
        told = client.post("/step", json={"action": action})
        # By id and by cookie, here and in a server that has never seen the episode.
        for asked in (client, TestClient(build_app())):
            assert asked.get("/observation", **named).content == told.content  # type: ignore[arg-type]
        assert client.get("/observation").content == told.content


def test_the_newest_observation_of_a_session_is_read_over_http(client: TestClient, ws: WebSocketTestSession) -> None:
    named = {"episode_id": "read-over-http"}
    told = say(ws, "reset", {**INCIDENT, **named})
    assert client.get("/observation", params=named).json() == {**told["data"], **named}
    told = say(ws, "step", STEP)
    assert client.get("/observation", params=named).json() == {**told["data"], **named}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"episode_id": "never-begun"}, 404),
        ({"episode_id": "../x"}, 422),
        ({"episode_id": ""}, 422),
        ({"colour": "red"}, 422),
    ],
)
def test_no_observation_of_what_is_not(client: TestClient, params: dict[str, str], status: int) -> None:
    assert client.get("/observation", params=params).status_code == status


def test_an_observation_is_asked_for_under_its_own_task(client: TestClient, id: str) -> None:
    assert client.get("/observation", params={"episode_id": id, "task": "ingestion"}).status_code == 200
    assert client.get("/observation", params={"episode_id": id, "task": "events"}).status_code == 409


# --- resume -----------------------------------------------------------------------------------------------------------


def test_a_lost_session_is_gone_on_with(client: TestClient) -> None:
    with client.websocket_connect("/ws") as lost:
        say(lost, "reset", {**INCIDENT, "episode_id": "lost"})
        told = say(lost, "step", STEP, request_id="k")
    with client.websocket_connect("/ws") as ws:
        assert say(ws, "reset", {"episode_id": "lost", "resume": True}) == told
        assert say(ws, "step", STEP, request_id="k") == told
        assert say(ws, "step", STEP)["data"]["observation"]["steps_taken"] == 2
        state = say(ws, "state")["data"]
        assert (state["episode_id"], state["step_count"]) == ("lost", 2)


def test_over_http_too_and_the_cookie_names_it(client: TestClient, id: str) -> None:
    told = client.post("/step", json={"episode_id": id, "action": STEP})
    stranger = TestClient(client.app)
    resumed = stranger.post("/reset", json={**INCIDENT, "episode_id": id, "resume": True})
    assert resumed.content == told.content
    assert stranger.post("/step", json={"action": 1}).json()["episode_id"] == id
    assert stranger.post("/reset", json={"episode_id": "nobody", "resume": True}).status_code == 404


CONTRADICTIONS: list[Any] = [
    ({"seed": 1}, "seed 0, not 1"),
    ({"task": "temporal"}, "task ingestion, not temporal"),
    ({"task_id": 5}, "task ingestion, not temporal"),
    ({"split": "eval"}, "split train, not eval"),
    ({"scale": 2}, "scale 1, not 2"),
    ({"feedback": "checks"}, "feedback truth, not checks"),
    ({"profile": "another"}, "not another"),
    ({"index": 5}, "seed 0, not 5"),
]


@pytest.mark.parametrize(("keywords", "says"), CONTRADICTIONS, ids=lambda value: str(value)[:30])
def test_a_resume_of_another_incident_is_refused(
    client: TestClient, ws: WebSocketTestSession, keywords: dict[str, Any], says: str
) -> None:
    client.post("/reset", json={**INCIDENT, "episode_id": "contradicted"})
    say(ws, "reset", INCIDENT)
    before = say(ws, "state")
    refused = say(ws, "reset", {"episode_id": "contradicted", "resume": True, **keywords})
    assert refused["type"] == "error" and says in refused["data"]["message"]
    assert say(ws, "state") == before
    reply = client.post("/reset", json={"episode_id": "contradicted", "resume": True, **keywords})
    assert reply.status_code == 409 and says in reply.json()["detail"]


def test_a_resume_that_repeats_what_was_asked_for_is_served(client: TestClient, id: str) -> None:
    profile = client.get("/state", params={"episode_id": id}).json()["scenario_profile"]
    same = {**INCIDENT, "task_id": 1, "scale": 1, "feedback": "truth", "profile": profile}
    for keywords in (same, {"index": 0, "split": "train"}, {"index": None, "seed": None}):
        assert client.post("/reset", json={"episode_id": id, "resume": True, **keywords}).status_code == 200


def test_a_resume_does_not_tell_what_is_undisclosed(client: TestClient) -> None:
    id = client.post("/reset", json={**INCIDENT, "split": "eval"}).json()["episode_id"]
    with Episode.resume(id).sandbox as sandbox:
        right = sandbox.profile
    guesses = [
        client.post("/reset", json={"episode_id": id, "resume": True, "profile": name}) for name in (right, "wrong")
    ]
    assert {each.status_code for each in guesses} == {409} and len({each.text for each in guesses}) == 1
    client.post("/step", json={"episode_id": id, "action": 15})
    assert client.post("/reset", json={"episode_id": id, "resume": True, "profile": right}).status_code == 200


def test_a_session_that_has_nothing_to_go_on_with_stays_where_it_was(ws: WebSocketTestSession) -> None:
    say(ws, "reset", INCIDENT)
    before = say(ws, "state")
    for bad in (
        {"episode_id": "never-begun", "resume": True},
        {"episode_id": "../x", "resume": True},
        {"resume": True},
        {"episode_id": before["data"]["episode_id"], "resume": "true"},
        {"episode_id": before["data"]["episode_id"], "resume": 1},
        {"episode_id": before["data"]["episode_id"], "resume": False},
    ):
        assert say(ws, "reset", bad)["type"] == "error"
        assert say(ws, "state") == before


def test_a_session_may_go_on_with_its_own_episode(ws: WebSocketTestSession) -> None:
    say(ws, "reset", {**INCIDENT, "episode_id": "its-own"})
    told = say(ws, "step", STEP)
    assert say(ws, "reset", {"episode_id": "its-own", "resume": True}) == told
    assert say(ws, "step", STEP)["data"]["observation"]["steps_taken"] == 2
