"""What stands before OpenEnv's handlers: only well-formed requests reach them, and only answers of ours come back.

In: HTTP bodies and WebSocket frames as they arrive. Out: the same, or an error reply with the connection left open. Its
reason is a list of small things that OpenEnv 0.10 does not survive, or says too much about: a frame that is JSON but no
object, a binary frame, an integer of thousands of digits, brackets nested until the parser gives up, NaN and lone
surrogates, which parse but cannot be sent back, each end the session or answer 500; true and "3" are read as integers;
what does not validate is answered with the validator's own text.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mario_dagster.env.arguments import in_words, unknown
from mario_dagster.env.errors import BadRequest, Fault
from mario_dagster.env.keys import FIELD, NAMES, keys_in, one_key
from mario_dagster.env.models import read_action
from mario_dagster.env.openenv import JsonRpcErrorCode, JsonRpcRequest
from mario_dagster.env.options import reset_request

MAX_BYTES = 1_000_000
# So much of a body that is too long is still read, and forgotten: a client that is sending it hears the answer.
DRAIN_BYTES = 8_000_000
MAX_DEPTH = 32
WS_PATHS = {"/ws": "openenv", "/mcp": "json-rpc"}
# What a message of each type on `/ws` may hold.
MESSAGES: Mapping[str, tuple[str, ...]] = {
    "reset": ("type", "data"),
    "step": ("type", "data", *NAMES),
    "state": ("type",),
    "close": ("type",),
    "mcp": ("type", "data"),
}
# Arguments of OpenEnv's task API that it would read from true or text, by the last word of the route.
INTEGERS: Mapping[str, tuple[str, ...]] = {"task": ("index",), "task_range": ("start", "stop")}
INVALID_RPC = JsonRpcErrorCode.INVALID_REQUEST.value


def parse_json(raw: str | bytes | bytearray) -> Any:
    """The JSON value of a request.

    Raises:
        BadRequest: it is no JSON, or JSON that cannot be said back: too long, too deep, not finite, not Unicode.
    """
    if len(raw) > MAX_BYTES:
        raise BadRequest(f"the message is longer than {MAX_BYTES} bytes")
    try:
        value = json.loads(raw, parse_constant=_refuse)
        _walk(value)
    except BadRequest:
        raise
    except RecursionError:
        raise BadRequest(f"the message is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        # Also a number with more digits than Python will read, and bytes that are no UTF-8.
        raise BadRequest(f"the message is no JSON: {str(error)[:200]}") from None
    return value


def json_type(value: Any) -> str:
    """What a JSON value is, in JSON's words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _refuse(constant: str) -> None:
    raise BadRequest(f"{constant} is no JSON number")


def _walk(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.keys())
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
            elif isinstance(each, str):
                if not each.isascii() and any("\ud800" <= character <= "\udfff" for character in each):
                    raise BadRequest("the message holds half a character: a lone surrogate")
            elif isinstance(each, float) and not math.isfinite(each):
                raise BadRequest("the message holds a number that is not finite")
        level = below
    raise BadRequest(f"the message is nested deeper than {MAX_DEPTH} levels")


class RequestGuard:
    """ASGI middleware: answers what is not well formed and what fails, passes on everything else untouched.

    Args:
        web: OpenEnv's web interface is served too, whose own traffic (uploads among it) is not judged.
    """

    def __init__(self, app: ASGIApp, web: bool = False):
        self.app = app
        self.web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] in WS_PATHS:
            await self.app(scope, _frames(scope["path"], receive, send), send)
        elif scope["type"] == "http" and not (self.web and _is_web_interface(scope["path"])):
            await self._request(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(scope, receive)
        if body is None:
            return
        if len(body) > MAX_BYTES:
            # What is left of the body would be read as the next request: the connection ends with the answer.
            return await _answer(send, 413, f"the body is longer than {MAX_BYTES} bytes", (b"connection", b"close"))
        if body.strip():
            try:
                value = parse_json(body)
            except BadRequest as error:
                return await _answer(send, 400, str(error))
            try:
                _judge(scope["path"], value)
            except _InvalidCall as error:
                return await _answer_json(send, 200, _rpc_error(value, str(error)))
            except BadRequest as error:
                return await _answer(send, error.status, str(error))
        await self._answered(scope, _replay(bytes(body), receive), send)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app's answer, or one sentence where it fails to give any."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            if begun:
                raise
            logging.getLogger(__name__).exception("%s %s failed", scope["method"], scope["path"])
            await _answer(send, Fault.status, str(Fault()))


def _is_web_interface(path: str) -> bool:
    """Gradio's own traffic, uploads among it; a reset or a step from there is like any other."""
    return path.startswith(("/web", "/gradio_api")) and path not in ("/web/reset", "/web/step")


async def _read(scope: Scope, receive: Receive) -> bytearray | None:
    """A request's body, of one that is too long only the beginning; None when the client has gone."""
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"").decode("latin-1")
    body, read = bytearray(), 0
    length = int(declared[:20]) if declared.isascii() and declared.isdigit() else 0
    # A client that waits to be told to go on is not told to, and what nobody would read to the end is not begun.
    if length > (MAX_BYTES if b"expect" in headers else DRAIN_BYTES):
        return bytearray(MAX_BYTES + 1)
    while read <= DRAIN_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk = message.get("body", b"")
        read += len(chunk)
        body += chunk[: MAX_BYTES + 1 - len(body)]
        if not message.get("more_body"):
            break
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _answer(send: Send, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
    await _answer_json(send, status, {"detail": detail}, *headers)


async def _answer_json(send: Send, status: int, value: Mapping[str, Any], *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps(value).encode()
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})


# --- what a body or a message may be ----------------------------------------------------------------------------------


class _InvalidCall(BadRequest):
    """A call to `/mcp` that is no JSON-RPC request."""


class _UnknownType(BadRequest):
    """A message on `/ws` of a type that there is not."""


def _judge(path: str, value: Any) -> None:
    """Refuse what a route of OpenEnv's would read as something else, or answer in a validator's words."""
    if path == "/mcp":
        _check_call(value)
    for name in INTEGERS.get(path.rpartition("/")[2], ()):
        found = value.get(name) if isinstance(value, dict) else None
        if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
            raise BadRequest(f"{name} must be a whole number, not {json.dumps(found)[:80]}")


def _check_call(value: Any) -> None:
    if not isinstance(value, dict):
        raise _InvalidCall(f"a call is a JSON-RPC 2.0 request, an object, not {json_type(value)}")
    try:
        call = JsonRpcRequest.model_validate(value, strict=True)
    except ValidationError as error:
        raise _InvalidCall(f"no JSON-RPC 2.0 request: {in_words(error.errors())}") from None
    session = call.params.get("session_id")
    if session is not None and not isinstance(session, str):
        # OpenEnv looks it up as it is, and fails on what cannot be looked up.
        raise _InvalidCall(f"params.session_id must be text, not {json_type(session)}")


def _frames(path: str, receive: Receive, send: Send) -> Receive:
    """A `receive` that answers bad frames itself and waits for the next one."""

    async def received() -> Message:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            value = None
            try:
                value = _frame(message)
                return {"type": "websocket.receive", "text": json.dumps(_passed(path, value))}
            except BadRequest as error:
                await send({"type": "websocket.send", "text": json.dumps(_refusal(path, value, error))})

    return received


def _frame(message: Message) -> dict[str, Any]:
    raw = message.get("text")
    if raw is None:
        try:
            raw = (message.get("bytes") or b"").decode()
        except UnicodeDecodeError:
            raise BadRequest("a binary frame is no message; send JSON text") from None
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise BadRequest(f"a message is a JSON object, not {json_type(value)}")
    return value


def _passed(path: str, value: dict[str, Any]) -> dict[str, Any]:
    """A message as OpenEnv takes it.

    Raises:
        BadRequest: it would not take it.
    """
    if path == "/mcp":
        _check_call(value)
        return value
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in MESSAGES:
        raise _UnknownType(unknown("type of message", kind, tuple(MESSAGES)))
    for name in value:
        if name not in MESSAGES[kind]:
            raise BadRequest(unknown(f"field of a '{kind}' message", name, MESSAGES[kind]))
    if "data" not in MESSAGES[kind]:
        return value
    data = value.get("data", {} if kind == "reset" else None)
    if not isinstance(data, dict):
        raise BadRequest(f"the data of a '{kind}' message are an object, not {json_type(data)}")
    if kind == "step":
        return {"type": kind, "data": _step_data(value, data)}
    if kind == "reset":
        # OpenEnv passes these on as keywords of its own function first, where `self` or `func` would clash.
        reset_request(data)
    else:
        _check_call(data)
    return value


def _step_data(message: Mapping[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The action of a step message, with the step's key where OpenEnv lets it through: in the action's metadata."""
    fields = {name: value for name, value in data.items() if name not in NAMES}
    action = read_action(fields)
    key = one_key([*keys_in(message), *keys_in(data), *keys_in(action.metadata)])
    return fields if key is None else {**fields, "metadata": {**action.metadata, FIELD: key}}


def _refusal(path: str, value: Any, error: BadRequest) -> dict[str, Any]:
    if WS_PATHS[path] == "json-rpc":
        return _rpc_error(value, str(error))
    code = "UNKNOWN_TYPE" if isinstance(error, _UnknownType) else "VALIDATION_ERROR"
    return {"type": "error", "data": {"message": str(error), "code": code}}


def _rpc_error(value: Any, text: str) -> dict[str, Any]:
    id = value.get("id") if isinstance(value, dict) else None
    known = id if isinstance(id, str | int) and not isinstance(id, bool) else None
    return {"jsonrpc": "2.0", "id": known, "error": {"code": INVALID_RPC, "message": text}}
