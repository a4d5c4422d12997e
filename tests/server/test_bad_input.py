"""Rubbish, over HTTP and over `/ws`: every reply is a clear refusal, no reply is a 500, and no session dies of it.

Whatever nobody foresaw is answered in one sentence that says nothing of the machine.
"""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import WebSocketTestSession

from mario_dagster.bench.fuzz import serving
from mario_dagster.core.errors import Damaged, Unavailable
from mario_dagster.env.environment import answering
from mario_dagster.env.errors import Fault, StorageUnavailable
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
    pytest.param('{"type": "step", "data": {"action_id": true}}', id="action true"),
    pytest.param('{"type": "step", "data": {"action_id": false}}', id="action false"),
    pytest.param('{"type": "step", "data": {"action_id": "1"}}', id="action 1 as text"),
    pytest.param('{"type": "step", "data": {"action_id": 1.0}}', id="action 1.0"),
    pytest.param('{"type": "step", "data": {"action_id": 1e0}}', id="action 1e0"),
    pytest.param('{"type": "step", "data": {"action_id": [1]}}', id="a list of actions"),
    pytest.param('{"type": "step", "data": {"action": {"action_id": 1}}}', id="a nested action"),
    pytest.param('{"type": "step", "data": null}', id="null for an action"),
    pytest.param('{"type": "step", "data": {"action_id": 1}, "timeout_s": 1}', id="a time-out"),
    pytest.param('{"type": "step", "data": {"action_id": 1, "metadata": 5}}', id="metadata 5"),
    pytest.param('{"type": "step", "data": {"action_id": 1}, "request_id": ""}', id="an empty key"),
    pytest.param('{"type": "step", "data": {"action_id": 1}, "request_id": 5}', id="key 5"),
    pytest.param('{"type": "step", "data": {"action_id": 1, "request_id": "\\n"}}', id="a key that does not print"),
    pytest.param('{"type": "step", "data": {"action_id": 1, "idempotency_key": "é"}}', id="a key beyond ASCII"),
    pytest.param('{"type": "step", "data": {"action_id": 1, "request_id": "a"}, "request_id": "b"}', id="two keys"),
    pytest.param(
        '{"type": "step", "data": {"action_id": 1, "metadata": {"request_id": "' + "k" * 129 + '"}}}', id="a long key"
    ),
    pytest.param('{"type": "reset", "data": null}', id="a reset with null"),
    pytest.param('{"type": "reset", "data": {"resume": "true"}}', id="resume as text"),
    pytest.param('{"type": "reset", "data": {"resume": 1, "episode_id": "unharmed"}}', id="resume 1"),
    pytest.param('{"type": "reset", "data": {"resume": true}}', id="resume of nothing"),
    pytest.param('{"type": "reset", "data": {"resume": true, "episode_id": "never"}}', id="resume of nobody's"),
    pytest.param('{"type": "reset", "data": {"seed": "--5"}}', id="seed --5"),
    pytest.param('{"type": "reset", "request_id": "x"}', id="a reset with a key"),
    pytest.param('{"type": "mcp"}', id="a call without a call"),
    pytest.param('{"type": "mcp", "data": {"jsonrpc": "1.0", "method": 5}}', id="no call"),
    pytest.param('{"type": "mcp", "data": {"jsonrpc": "2.0", "method": "x", "id": true}}', id="call number true"),
    pytest.param(
        '{"type": "mcp", "data": {"jsonrpc": "2.0", "method": "openenv/session/close", "params": {"session_id": [1]}}}',
        id="a call for a list of sessions",
    ),
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


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
THINGS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "data", "action_id", "seed"]) | st.text(max_size=5), inner, max_size=4
    ),
    max_leaves=8,
)  # fmt: skip
# Nearly a step: it has all that a step has, and one thing that none has.
STRANGE = st.fixed_dictionaries(
    {"type": st.just("step"), "data": st.fixed_dictionaries(
        {"action_id": st.integers(0, 19)},
        optional={
            "target_column": VALUES, "new_name": VALUES, "column_order": THINGS, "metadata": THINGS,
            "select": VALUES, "value": VALUES,
        },
    )},
    optional={"request_id": VALUES, "idempotency_key": VALUES},
).flatmap(lambda step: st.one_of(
    THINGS.filter(lambda it: type(it) is not int or not 0 <= it <= 19).map(
        lambda it: {**step, "data": {**step["data"], "action_id": it}}
    ),
    st.tuples(st.text(min_size=1, max_size=8).map("x".__add__), THINGS).map(
        lambda pair: {**step, "data": {**step["data"], pair[0]: pair[1]}}
    ),
    st.tuples(st.text(min_size=1, max_size=8).map("x".__add__), THINGS).map(lambda pair: {**step, pair[0]: pair[1]}),
))  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80) | THINGS.map(json.dumps) | STRANGE.map(json.dumps))
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


@pytest.mark.parametrize(
    "frame", ["rubbish", "[]", "5", '{"id": NaN}', "[" * 100_000, "{}", '{"jsonrpc": "2.0", "method": 5, "id": 7}']
)
def test_an_mcp_socket_survives_too(client: TestClient, frame: str) -> None:
    with client.websocket_connect("/mcp") as socket:
        for _ in range(2):
            socket.send_text(frame)
            error = socket.receive_json()["error"]["message"]
            assert error and "pydantic" not in error


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


CALL = '{"jsonrpc": "2.0", "method": "tools/list", "params": {"session_id": %s}}'


@pytest.mark.parametrize(
    "body",
    ["rubbish", "[]", '{"id": NaN}', '{"jsonrpc": "2.0", "method": 5}', "{}", CALL % "[1]", CALL % "{}", CALL % 5],
)
def test_the_mcp_endpoint_never_fails(client: TestClient, body: str) -> None:
    reply = client.post("/mcp", content=body)
    assert reply.status_code < 500 and "pydantic" not in reply.text
    assert reply.status_code == 400 or reply.json()["error"]["message"]


# --- bodies that are too long, and requests that are none -------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/state", "/health", "/docs", "/web", "/grader", "/reset"])
def test_no_method_takes_a_long_body(client: TestClient, method: str, path: str) -> None:
    for content in (b"x" * (MAX_BYTES + 1), iter([b"x" * MAX_BYTES, b"x"])):
        reply = client.request(method, path, content=content)
        assert reply.status_code == 413
        assert method == "HEAD" or str(MAX_BYTES) in reply.json()["detail"]


def test_a_body_of_the_greatest_length_is_read(client: TestClient) -> None:
    body = json.dumps({"episode_id": "nobody", "action": 1}).encode()
    assert client.post("/step", content=body.ljust(MAX_BYTES)).status_code == 404


def answer(address: tuple[str, int], request: bytes) -> bytes:
    """What a server sends back to these bytes, until the first body is there."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(request)
        received = b""
        while b"}" not in received:
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
        return received


def test_what_only_a_real_connection_can_send(home: Home) -> None:
    with serving() as (url, _):
        host, port = url.removeprefix("http://").split(":")
        address, body = (host, int(port)), b'{"episode_id": "x", "action": 1}'
        # A POST is a POST, whatever it would like to become, and keeps its body.
        for protocol in (b"websocket", b"h2c"):
            upgrade = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n" % protocol
            head = b"POST /step HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (upgrade, len(body))
            told = answer(address, head + body)
            assert told.startswith(b"HTTP/1.1 404") and b"no episode 'x'" in told
        told = answer(address, b"PUT /step HTTP/1.1\r\n%s\r\n" % upgrade)
        assert told.startswith(b"HTTP/1.1 405")
        # So long a body is refused before it comes, whether the client waits to be told to go on or not.
        for header in (b"", b"Expect: 100-continue\r\n"):
            request = b"GET /state HTTP/1.1\r\nHost: x\r\n%sContent-Length: 400000000\r\n\r\n" % header
            assert answer(address, request).startswith(b"HTTP/1.1 413")
        chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        told = answer(address, b"GET /state HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 90)
        assert told.startswith(b"HTTP/1.1 413") and b"connection: close" in told.lower()


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


# --- what nobody foresaw ----------------------------------------------------------------------------------------------


@contextmanager
def sabotaged(home: Home, id: str) -> Iterator[None]:
    """An episode whose database refuses every event, for a reason that nothing here has heard of."""
    file = home.sandbox(id) / "dagster" / "event_log.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TRIGGER no BEFORE INSERT ON event_logs BEGIN SELECT RAISE(ABORT, 'secret'); END")
    database.close()
    try:
        yield
    finally:
        with sqlite3.connect(file) as database:
            database.execute("DROP TRIGGER no")
        database.close()


def tells_nothing(home: Home, text: str) -> None:
    assert str(Fault()) in text
    for secret in ("secret", "INSERT", "sqlite", "Error", "Traceback", str(home.root), "site-packages"):
        assert secret not in text


def test_over_ws_it_is_one_sentence_and_the_session_goes_on(
    client: TestClient, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with client.websocket_connect("/ws") as ws:
        ws.send_json({"type": "reset", "data": {**INCIDENT, "episode_id": "sabotaged-ws"}})
        ws.receive_json()
        with sabotaged(home, "sabotaged-ws"), caplog.at_level(logging.ERROR):
            ws.send_json({"type": "step", "data": {"action_id": 10}, "request_id": "k"})
            tells_nothing(home, json.dumps(ws.receive_json()))
        assert "secret" in caplog.text and "Traceback" in caplog.text
        ws.send_json({"type": "state"})
        assert ws.receive_json()["data"]["step_count"] == 0
        ws.send_json({"type": "step", "data": {"action_id": 10}, "request_id": "k"})
        assert ws.receive_json()["data"]["observation"]["steps_taken"] == 1


def test_over_http_it_is_one_sentence_and_the_episode_goes_on(
    client: TestClient, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/reset", json={**INCIDENT, "episode_id": "sabotaged-http"})
    step = {"episode_id": "sabotaged-http", "action": 10, "request_id": "k"}
    with sabotaged(home, "sabotaged-http"), caplog.at_level(logging.ERROR):
        reply = client.post("/step", json=step)
        assert reply.status_code == 500
        tells_nothing(home, reply.text)
    assert "secret" in caplog.text and "Traceback" in caplog.text
    assert client.post("/step", json=step).json()["observation"]["steps_taken"] == 1


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (RuntimeError("/srv/secret SELECT * FROM kvs"), 500, str(Fault())),
        (Damaged("landing/manifest.json is missing"), 410, "landing/manifest.json is missing"),
        (Unavailable("event_log.db is out of reach for now"), 503, "again later"),
        (StorageUnavailable("no space left on device"), 503, "no space left on device"),
    ],
    ids=["unforeseen", "damaged", "unavailable", "storage"],
)
def test_an_error_that_gets_through_is_answered_all_the_same(
    home: Home, error: Exception, status: int, says: str
) -> None:
    app = build_app()

    @app.get("/fails")
    def fails() -> None:
        raise error

    reply = TestClient(app).get("/fails")
    assert reply.status_code == status and says in reply.json()["detail"]
    assert "secret" not in reply.text and ("retry-after" in reply.headers) == (status == 503)
    with pytest.raises(Exception, match=says) as raised, answering():
        raise error
    assert getattr(raised.value, "status", None) == status


def test_the_web_interface_refuses_what_is_no_action(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setenv("ENABLE_WEB_INTERFACE", "true")
    web = TestClient(build_app())
    assert web.post("/web/reset", json=INCIDENT).status_code == 200
    for action in ({"action_id": "x"}, {"action_id": True}, {"colour": "red"}, {}):
        reply = web.post("/web/step", json={"action": action})
        assert reply.status_code == 422 and "pydantic" not in reply.text
    assert web.post("/web/step", content=b" " * (MAX_BYTES + 1)).status_code == 413
    assert web.post("/web/step", json={"action": {"action_id": "10"}}).json()["observation"]["steps_taken"] == 1


def test_every_operation_has_an_id_of_its_own_and_says_how_it_refuses(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    operations = [each for path in described["paths"].values() for each in path.values()]
    ids = [each["operationId"] for each in operations]
    assert len(set(ids)) == len(ids) > 30
    for each in operations:
        assert {"200", "400", "413", "422"} <= each["responses"].keys()
    assert "HTTPValidationError" not in json.dumps(described)


# --- the parser itself ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_what_the_guard_lets_through_can_be_sent_back(raw: str | bytes) -> None:
    try:
        value = parse_json(raw)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) == value
