"""Rubbish, over HTTP and over `/ws`: every reply is a clear refusal, no reply is a 500, and no session dies of it."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import WebSocketTestSession

from mario_dagster.bench.fuzz import serving
from mario_dagster.sandbox.home import Home
from mario_dagster.server.request_guard import MAX_BYTES, parse_json

from .asking import refused, unharmed

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
        # Whoever is refused before all is sent may find the connection closed; the answer has come all the same.
        with contextlib.suppress(ConnectionError):
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


# --- the parser itself ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_what_the_guard_lets_through_can_be_sent_back(raw: str | bytes) -> None:
    try:
        value = parse_json(raw)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) == value
