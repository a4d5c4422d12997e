"""Rubbish, over HTTP and over `/ws`: every reply is a clear refusal, no reply is a 500, and no session dies of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import WebSocketTestSession

from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from mario_dagster.server.request_guard import MAX_BYTES, parse_json

INCIDENT = {"task": "temporal", "seed": 7}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIO_HOME", str(root))
        yield Home(root)


@pytest.fixture(scope="module")
def app(home: Home) -> Any:
    return build_app()


@pytest.fixture
def client(app: Any) -> TestClient:
    # As a real server does it: an exception in a handler is a 500, not an exception in the test.
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def id(app: Any) -> str:
    return str(TestClient(app).post("/reset", json=INCIDENT).json()["episode_id"])


@pytest.fixture
def ws(client: TestClient) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect("/ws") as ws:
        yield ws


@pytest.fixture(scope="module")
def session(app: Any) -> Iterator[WebSocketTestSession]:
    """One session with an episode, for everything that must leave it alone."""
    with TestClient(app).websocket_connect("/ws") as session:
        session.send_json({"type": "reset", "data": {**INCIDENT, "episode_id": "unharmed"}})
        assert session.receive_json()["type"] == "observation"
        yield session


def refused(ws: WebSocketTestSession) -> str:
    reply = ws.receive_json()
    assert reply["type"] == "error", reply
    message = reply["data"]["message"] + json.dumps(reply["data"].get("errors", ""))
    assert len(message) > 10
    return str(message)


def unharmed(session: WebSocketTestSession) -> None:
    session.send_json({"type": "state"})
    state = session.receive_json()
    assert (state["type"], state["data"]["episode_id"], state["data"]["step_count"]) == ("state", "unharmed", 0)


# --- bodies and frames that are no requests ---------------------------------------------------------------------------

FRAMES: list[Any] = [
    pytest.param("", id="empty"),
    pytest.param("rubbish", id="no json"),
    pytest.param("{", id="half json"),
    pytest.param("[]", id="a list"),
    pytest.param("5", id="a number"),
    pytest.param("null", id="null"),
    pytest.param('"reset"', id="a string"),
    pytest.param('{"type": "reset", "data": {"seed": NaN}}', id="NaN"),
    pytest.param('{"type": "reset", "data": {"seed": -Infinity}}', id="infinity"),
    pytest.param('{"type": "reset", "data": {"seed": 1e999}}', id="beyond a float"),
    pytest.param('{"type": "reset", "data": {"seed": ' + "9" * 5000 + "}}", id="5000 digits"),
    pytest.param('{"type": "step", "data": {"action_id": ' + "9" * 4000 + "}}", id="4000 digits"),
    pytest.param("[" * 100_000, id="brackets"),
    pytest.param('{"a":' * 50_000 + "1" + "}" * 50_000, id="nested objects"),
    pytest.param('{"type": "step", "data": {"action_id": 9, "target_column": "\\ud800"}}', id="half a character"),
    pytest.param('{"type": "\\ud800"}', id="half a type"),
    pytest.param('{"\\udfff": 1}', id="half a key"),
    pytest.param('{"type": "reset", "data": "' + "x" * MAX_BYTES + '"}', id="a megabyte"),
    pytest.param("{}", id="an empty object"),
    pytest.param('{"type": "nothing"}', id="an unknown type"),
    pytest.param('{"type": ["reset"]}', id="a type that is a list"),
    pytest.param('{"type": "reset", "data": []}', id="data that is a list"),
    pytest.param('{"type": "reset", "extra": 1}', id="an unknown key"),
    pytest.param('{"type": "reset", "data": {"self": 1}}', id="self"),
    pytest.param('{"type": "reset", "data": {"func": 1}}', id="func"),
    pytest.param('{"type": "reset", "data": {"session_id": "x"}}', id="session_id"),
    pytest.param('{"type": "reset", "data": {"sede": 1}}', id="a keyword misspelt"),
    pytest.param('{"type": "step"}', id="no action"),
    pytest.param('{"type": "step", "data": {}}', id="an empty action"),
    pytest.param('{"type": "step", "data": {"action_id": 99}}', id="action 99"),
    pytest.param('{"type": "step", "data": {"action_id": -1}}', id="action -1"),
    pytest.param('{"type": "step", "data": {"action_id": "x"}}', id="action x"),
    pytest.param('{"type": "step", "data": {"action_id": null}}', id="action null"),
    pytest.param('{"type": "step", "data": {"action_id": 1, "colour": 1}}', id="an unknown field"),
    pytest.param('{"type": "step", "data": {"action_id": 13, "column_order": "abc"}}', id="an order that is text"),
    pytest.param('{"type": "step", "data": {"action_id": 13, "column_order": [1, {}]}}', id="an order of things"),
    pytest.param('{"type": "step", "data": {"action_id": 3, "target_column": {"a": 1}}}', id="a column, an object"),
    pytest.param(
        '{"type": "step", "data": {"action_id": 3, "target_column": "' + "x" * 200 + '"}}', id="a long column"
    ),
    pytest.param('{"type": "state", "data": {}}', id="a state with data"),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_session_survives_a_bad_frame(session: WebSocketTestSession, frame: str) -> None:
    session.send_text(frame)
    refused(session)
    unharmed(session)


@pytest.mark.parametrize("frame", [b"\xff\xfe", b"", b"\x00" * 10, b"[1]"])
def test_a_session_survives_a_binary_frame(session: WebSocketTestSession, frame: bytes) -> None:
    session.send_bytes(frame)
    refused(session)
    unharmed(session)


def test_a_binary_frame_that_is_a_message_is_one(session: WebSocketTestSession) -> None:
    session.send_bytes(b'{"type": "state"}')
    assert session.receive_json()["type"] == "state"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "data", "action_id", "seed"]) | st.text(max_size=5), inner, max_size=4
    ),
    max_leaves=8,
).map(json.dumps))  # fmt: skip
def test_no_frame_kills_a_session(session: WebSocketTestSession, frame: str) -> None:
    try:
        value = json.loads(frame)
    except ValueError:
        value = None
    if isinstance(value, dict) and value.get("type") in ("close", "reset", "state", "mcp"):
        return
    session.send_text(frame)
    refused(session)
    unharmed(session)


@pytest.mark.parametrize("frame", ["rubbish", "[]", "5", '{"id": NaN}', "[" * 100_000])
def test_an_mcp_socket_survives_too(client: TestClient, frame: str) -> None:
    with client.websocket_connect("/mcp") as socket:
        for _ in range(2):
            socket.send_text(frame)
            assert socket.receive_json()["error"]["message"]


BODIES = ["rubbish", "{", "[]", "5", "null", '"x"', '{"seed": NaN}', '{"a": ' + "9" * 5000 + "}", "[" * 100_000,
          '{"episode_id": "\\ud800"}', '{"action": "\\ud800"}', "\xff", '{"x": "' + "x" * MAX_BYTES + '"}']  # fmt: skip
POSTS = [
    "/reset",
    "/step",
    "/grader",
    "/grade/temporal",
    "/grader/debug",
    "/grade-debug/temporal",
    "/baseline",
    "/mario_dagster/tasks",
    "/mario_dagster/num_tasks",
    "/mario_dagster/task",
    "/mario_dagster/task_range",
]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_bad_body_is_a_clear_4xx(client: TestClient, path: str, body: str, kind: str) -> None:
    reply = client.post(path, content=body.encode("latin-1"), headers={"content-type": kind})
    assert 400 <= reply.status_code < 500, (reply.status_code, reply.text)
    assert len(reply.json()["detail"]) > 10


@pytest.mark.parametrize("body", ["rubbish", "[]", '{"id": NaN}', '{"jsonrpc": "2.0", "method": 5}', "{}"])
def test_the_mcp_endpoint_never_fails(client: TestClient, body: str) -> None:
    assert client.post("/mcp", content=body).status_code < 500


def test_an_empty_body_resets_with_defaults(client: TestClient) -> None:
    reply = client.post("/reset")
    assert reply.status_code == 200
    assert client.get("/state", params={"episode_id": reply.json()["episode_id"]}).json()["scenario_split"] == "train"


# --- arguments of reset -----------------------------------------------------------------------------------------------

RESETS: list[Any] = [
    ({"seed": -1}, "0 to 2147483647"),
    ({"seed": 2**31}, "0 to 2147483647"),
    ({"seed": 10**300}, "0 to 2147483647"),
    ({"seed": 1.5}, "0 to 2147483647"),
    ({"seed": "x"}, "0 to 2147483647"),
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
    ({"feedback": "none"}, "truth, checks"),
    ({"sede": 1}, "seed"),
    ({"index": -1}, "index must be"),
    ({"episode_id": "../../etc/passwd"}, "1 to 64 letters"),
    ({"episode_id": "a/b"}, "1 to 64 letters"),
    ({"episode_id": ""}, "1 to 64 letters"),
    ({"episode_id": "a" * 65}, "1 to 64 letters"),
    ({"episode_id": ".vault"}, "1 to 64 letters"),
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


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/mario_dagster/tasks", {"split": "bogus"}),
        ("/mario_dagster/num_tasks", {"split": "bogus"}),
        ("/mario_dagster/task", {"split": "train", "index": 10**9}),
        ("/mario_dagster/task", {"split": "train", "index": "x"}),
        ("/mario_dagster/task_range", {"split": "train", "start": "x"}),
        ("/nobody/tasks", {"split": "train"}),
        ("/baseline", {"seed": -1}),
        ("/baseline", {"policy_mode": {}}),
        ("/grader", {"baseline": "heuristic", "split": "bogus"}),
    ],
)
def test_a_bad_question_is_a_4xx_or_a_501(client: TestClient, path: str, body: dict[str, Any]) -> None:
    reply = client.post(path, json=body)
    assert 400 <= reply.status_code < 500 or reply.status_code == 501, reply.text


# --- the parser itself ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_what_the_guard_lets_through_can_be_sent_back(raw: str | bytes) -> None:
    try:
        value = parse_json(raw)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) == value
