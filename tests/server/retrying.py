"""What the tests of lost replies play and send."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import WebSocketTestSession

from mario_dagster.sandbox.home import Home

INCIDENT = {"task": "ingestion", "split": "train", "seed": 0}
STEP = {"action_id": 10}
OTHER = {"action_id": 2}


def say(ws: WebSocketTestSession, type: str, data: Any = None, **more: Any) -> dict[str, Any]:
    ws.send_json({"type": type, **({} if data is None else {"data": data}), **more})
    reply: dict[str, Any] = ws.receive_json()
    return reply


def lines(home: Home, id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home.sandbox(id) / "trajectory.jsonl").read_text().splitlines()]
