"""How tests ask a server: the incident that they play, requests that are served, and how a refusal looks."""

from __future__ import annotations

import json
from typing import Any

from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession

INCIDENT = {"task": "temporal", "seed": 7}


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


def start(client: TestClient, **keywords: Any) -> str:
    reply = client.post("/reset", json={**INCIDENT, **keywords})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["episode_id"])


def step(client: TestClient, id: str, **action: Any) -> dict[str, Any]:
    reply = client.post("/step", json={"episode_id": id, "action": action})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body
