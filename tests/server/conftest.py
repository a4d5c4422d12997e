"""A server in this process with a home of its own, clients of it, and an episode that nothing may harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession

from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app

from .asking import INCIDENT


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


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    """A real server on a real port."""
    config = uvicorn.Config(build_app(), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)
