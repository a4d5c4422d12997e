"""Arguments that are none, and requests out of turn: each is refused in words, and the episode goes on."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession

from mario_dagster.sandbox.home import Home

from .asking import INCIDENT, refused, unharmed

# --- arguments of reset -----------------------------------------------------------------------------------------------

RESETS: list[Any] = [
    ({"seed": -1}, "0 to 2147483647"),
    ({"seed": 2**31}, "0 to 2147483647"),
    ({"seed": 10**300}, "0 to 2147483647"),
    ({"seed": 1.5}, "0 to 2147483647"),
    ({"seed": "x"}, "0 to 2147483647"),
    ({"seed": "7"}, "0 to 2147483647"),
    ({"seed": 7.0}, "0 to 2147483647"),
    ({"seed": "--5"}, "0 to 2147483647"),
    ({"seed": "٣"}, "0 to 2147483647"),
    ({"seed": True}, "0 to 2147483647"),
    ({"seed": [1]}, "0 to 2147483647"),
    ({"task": "nonsense"}, "temporal"),
    ({"task": 99}, "temporal"),
    ({"task": {}}, "temporal"),
    ({"task_id": "task_99"}, "temporal"),
    ({"split": "bogus"}, "train, eval"),
    ({"split": 5}, "train, eval"),
    ({"profile": "nothing_like_it"}, "no profile"),
    ({"profile": "heldout_temporal_rollup_contract_family", "split": "train"}, "no profile"),
    ({"scale": 0}, "scale must be"),
    ({"scale": 10**9}, "scale must be"),
    ({"scale": True}, "scale must be"),
    ({"scale": "2"}, "scale must be"),
    ({"index": True}, "index must be"),
    ({"index": "7"}, "index must be"),
    ({"resume": "yes"}, "resume must be true or false"),
    ({"resume": 1}, "resume must be true or false"),
    ({"resume": True}, "needs the episode_id"),
    ({"feedback": "none"}, "truth, checks"),
    ({"sede": 1}, "seed"),
    ({"index": -1}, "index must be"),
    ({"episode_id": "../../etc/passwd"}, "1 to 64 letters"),
    ({"episode_id": "a/b"}, "1 to 64 letters"),
    ({"episode_id": ""}, "1 to 64 letters"),
    ({"episode_id": "a" * 65}, "1 to 64 letters"),
    ({"episode_id": ".truth"}, "1 to 64 letters"),
    ({"episode_id": "a\x00b"}, "1 to 64 letters"),
    ({"episode_id": 5}, "1 to 64 letters"),
]
NAMES = [str(keywords)[:50] for keywords, _ in RESETS]


@pytest.mark.parametrize(("keywords", "says"), RESETS, ids=NAMES)
def test_a_bad_reset_over_http_is_a_4xx_and_makes_nothing(
    client: TestClient, home: Home, keywords: dict[str, Any], says: str
) -> None:
    before = {info.id for info in home.sandboxes()}
    reply = client.post("/reset", json=keywords)
    assert 400 <= reply.status_code < 500 and says in reply.json()["detail"], reply.text
    assert {info.id for info in home.sandboxes()} == before


@pytest.mark.parametrize(("keywords", "says"), RESETS, ids=NAMES)
def test_a_bad_reset_over_ws_is_an_error_and_the_episode_goes_on(
    session: WebSocketTestSession, keywords: dict[str, Any], says: str
) -> None:
    session.send_json({"type": "reset", "data": keywords})
    assert says in refused(session)
    unharmed(session)


def test_a_taken_id_over_ws_is_an_error(session: WebSocketTestSession, id: str) -> None:
    session.send_json({"type": "reset", "data": {**INCIDENT, "episode_id": id}})
    assert "exists" in refused(session)
    unharmed(session)


def test_the_largest_seed_is_a_seed(ws: WebSocketTestSession) -> None:
    ws.send_json({"type": "reset", "data": {"task": "temporal", "seed": 2**31 - 1}})
    assert ws.receive_json()["type"] == "observation"


# --- out of turn ------------------------------------------------------------------------------------------------------


def test_a_step_before_reset_over_ws_is_an_error(ws: WebSocketTestSession) -> None:
    ws.send_json({"type": "step", "data": {"action_id": 1}})
    assert "reset first" in refused(ws)
    ws.send_json({"type": "state"})
    assert ws.receive_json()["data"]["episode_id"] is None
    ws.send_json({"type": "reset", "data": INCIDENT})
    assert ws.receive_json()["type"] == "observation"


@pytest.mark.parametrize("path", ["/step", "/grader"])
def test_a_request_for_an_episode_that_is_not_is_a_404(client: TestClient, path: str) -> None:
    reply = client.post(path, json={"episode_id": "never-begun", **({"action": 1} if path == "/step" else {})})
    assert reply.status_code == 404 and "never-begun" in reply.json()["detail"]


@pytest.mark.parametrize("bad", ["../x", "..", ".templates", "a/b", "%2e%2e", "a\x00", "x" * 65, "é"])
@pytest.mark.parametrize("where", ["body", "query", "cookie"])
def test_no_id_leads_outside(client: TestClient, bad: str, where: str) -> None:
    if where == "cookie":
        if not bad.isascii() or "\x00" in bad:
            return
        reply = client.get("/state", headers={"cookie": f"mario_episode={bad}"})
    elif where == "body":
        reply = client.post("/step", json={"episode_id": bad, "action": 1})
    else:
        reply = client.get("/state", params={"episode_id": bad})
    assert reply.status_code == 422 and "1 to 64 letters" in reply.json()["detail"]


STEPS: list[Any] = [
    {},
    {"action": None},
    {"action": []},
    {"action": {}},
    {"action": {"action_id": 99}},
    {"action": {"action_id": -1}},
    {"action": {"action_id": 1.5}},
    {"action": {"action_id": 1, "colour": "red"}},
    {"action": {"action_id": 3, "target_column": ["a"]}},
    {"action": {"action_id": 13, "column_order": [None]}},
    {"action": {"action_id": 13, "column_order": ["a"] * 1000}},
    {"action": {"action_id": 3, "target_column": "x" * 1000}},
    {"action": 99},
    {"action": True},
    {"action": "1"},
    {"action": 1.0},
    {"action": {"action_id": True}},
    {"action": {"action_id": False}},
    {"action": {"action_id": "1"}},
    {"action": {"action_id": 1.0}},
    {"action_id": True},
    {"action_id": "1"},
    {"action": 1, "timeout_s": "x"},
    {"action": 1, "timeout_s": True},
    {"action": 1, "timeout_s": -1},
    {"action": 1, "request_id": 5},
    {"action": 1, "request_id": ""},
    {"action": 1, "request_id": "a", "idempotency_key": "b"},
    {"action": 1, "colour": "red"},
    {"action_id": 1, "colour": "red"},
    {"action": 1, "task": "nonsense"},
]


@pytest.mark.parametrize("body", STEPS, ids=lambda body: str(body)[:50])
def test_a_bad_step_over_http_is_a_422_and_no_step(client: TestClient, id: str, body: dict[str, Any]) -> None:
    reply = client.post("/step", json={"episode_id": id, **body})
    assert reply.status_code == 422 and len(reply.json()["detail"]) > 10, reply.text
    assert client.get("/state", params={"episode_id": id}).json()["step_count"] == 0


@pytest.mark.parametrize("path", ["/state", "/grader", "/grade/temporal"])
def test_an_unknown_argument_is_a_422(client: TestClient, id: str, path: str) -> None:
    reply = client.get(path, params={"episode_id": id, "colour": "red"})
    assert reply.status_code == 422 and "colour" in reply.json()["detail"]


@pytest.mark.parametrize("seed", ["--5", "-", "٣", "\uff17", "5.0", "+5", " 5", "1_0", "", "9" * 30, "-1", "true"])
@pytest.mark.parametrize("path", ["/reset", "/baseline", "/grader"])
def test_a_seed_in_a_query_is_decimal_digits(client: TestClient, path: str, seed: str) -> None:
    reply = client.post(path, params={"seed": seed})
    assert reply.status_code == 422 and "seed must be a whole number" in reply.json()["detail"]


def test_a_query_says_numbers_and_truths(client: TestClient, id: str) -> None:
    params = {"task": "temporal", "seed": "7", "episode_id": id, "resume": "true"}
    assert client.post("/reset", params=params).json()["episode_id"] == id
    for resume in ("True", "1", ""):
        assert client.post("/reset", params={**params, "resume": resume}).status_code == 422
    twice = client.get(f"/state?episode_id={id}&episode_id=other")
    assert twice.status_code == 422 and "twice" in twice.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/mario_dagster/tasks", {"split": "bogus"}, "train, eval"),
        ("/mario_dagster/num_tasks", {"split": "bogus"}, "train, eval"),
        ("/mario_dagster/task", {"split": "train", "index": 10**9}, "Invalid task index"),
        ("/mario_dagster/task", {"split": "train", "index": "x"}, "index"),
        ("/mario_dagster/task", {"split": "train", "index": True}, "index must be a whole number"),
        ("/mario_dagster/task", {"split": "train", "index": "7"}, "index must be a whole number"),
        ("/mario_dagster/task", {"split": "train", "index": 7.0}, "index must be a whole number"),
        ("/mario_dagster/task_range", {"split": "train", "start": "x"}, "start"),
        ("/mario_dagster/task_range", {"split": "train", "stop": False}, "stop must be a whole number"),
        ("/nobody/tasks", {"split": "train"}, "nobody"),
        ("/baseline", {"seed": -1}, "0 to 2147483647"),
        ("/baseline", {"seed": "5"}, "0 to 2147483647"),
        ("/baseline", {"policy_mode": {}}, "heuristic, random"),
        ("/baseline", {"policy_mode": "huristic"}, "did you mean 'heuristic'"),
        ("/baseline", {"policy": "heuristic"}, "did you mean 'policy_mode'"),
        ("/grader", {"baseline": "heuristic", "split": "bogus"}, "train, eval"),
        ("/grader", {"baseline": True}, "heuristic, random"),
        ("/grader", {"baseline": "nobody"}, "heuristic, random"),
        ("/grader", {"split": "bogus"}, "train, eval"),
        ("/grade/temporal", {"task": "events"}, "'temporal'"),
        ("/grade/temporl", {}, "did you mean 'temporal'"),
    ],
)
def test_a_bad_question_is_a_4xx_that_says_what_is_right(
    client: TestClient, path: str, body: dict[str, Any], says: str
) -> None:
    reply = client.post(path, json=body)
    assert 400 <= reply.status_code < 500 and says in str(reply.json()["detail"]), reply.text
