"""Whatever nobody foresaw is answered in one sentence that says nothing of the machine."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient

from mario_dagster.core.errors import Damaged, Unavailable
from mario_dagster.env.environment import answering
from mario_dagster.env.errors import Fault, StorageUnavailable
from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from mario_dagster.server.request_guard import MAX_BYTES

from .asking import INCIDENT


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
