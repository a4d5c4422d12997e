"""What stands before OpenEnv's handlers: only well-formed requests reach them.

In: HTTP bodies and WebSocket frames as they arrive. Out: the same, or an error reply with the connection left open. Its
reason is a list of small things that OpenEnv 0.10 does not survive: a frame that is JSON but no object, a binary frame,
an integer of thousands of digits, brackets nested until the parser gives up, NaN and lone surrogates, which parse but
cannot be sent back, each end the session or answer 500.
"""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mario_dagster.env.errors import BadRequest
from mario_dagster.env.options import KEYWORDS

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
WS_PATHS = {"/ws": "openenv", "/mcp": "json-rpc"}


def parse_json(raw: str | bytes) -> Any:
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


class Guard:
    """ASGI middleware: answers what is not well formed, passes on everything else untouched."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] in WS_PATHS:
            await self.app(scope, _frames(scope["path"], receive, send), send)
        elif scope["type"] == "http" and scope["method"] == "POST" and not _is_web_interface(scope["path"]):
            await self._body(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > MAX_BYTES:
                return await _answer(send, 413, f"the body is longer than {MAX_BYTES} bytes")
            if not message.get("more_body"):
                break
        if body.strip():
            try:
                parse_json(body)
            except BadRequest as error:
                return await _answer(send, 400, str(error))
        await self.app(scope, _replay(body, receive), send)


def _is_web_interface(path: str) -> bool:
    """Gradio's own traffic, uploads among it."""
    return path.startswith(("/web", "/gradio_api"))


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _answer(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _frames(path: str, receive: Receive, send: Send) -> Receive:
    """A `receive` that answers bad frames itself and waits for the next one."""

    async def received() -> Message:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            try:
                return {"type": "websocket.receive", "text": _frame(path, message)}
            except BadRequest as error:
                await send({"type": "websocket.send", "text": json.dumps(_refusal(path, str(error)))})

    return received


def _frame(path: str, message: Message) -> str:
    raw = message.get("text")
    if raw is None:
        try:
            raw = (message.get("bytes") or b"").decode()
        except UnicodeDecodeError:
            raise BadRequest("a binary frame is no message; send JSON text") from None
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise BadRequest(f"a message is a JSON object, not {type(value).__name__}")
    data = value.get("data")
    if path == "/ws" and value.get("type") == "reset" and isinstance(data, dict):
        # OpenEnv passes these on as keywords of its own function first, where `self` or `func` would clash.
        unknown = next((name for name in data if name not in KEYWORDS), None)
        if unknown is not None:
            raise BadRequest(f"reset knows no '{unknown[:80]}'; it takes {', '.join(KEYWORDS)}")
    return str(raw)


def _refusal(path: str, text: str) -> dict[str, Any]:
    if WS_PATHS[path] == "json-rpc":
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": text}}
    return {"type": "error", "data": {"message": text, "code": "VALIDATION_ERROR"}}
