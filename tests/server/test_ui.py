"""The UIs of episodes in the running server: opened when asked for, each with its own, closed when idle."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from mario_dagster.server.ui import EpisodeUIs
from tests.graphql import LAUNCH, RUNS, asking, launch, launched, selection


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[TestClient, dict[str, str]]]:
    """A server that allows repairs, with two episodes under way: id by task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIO_ALLOW_REPAIR", "1")
        app = build_app()
    with TestClient(app) as client:
        ids = {
            task: client.post("/reset", json={"task": task, "seed": 4}).json()["episode_id"]
            for task in ("temporal", "ingestion")
        }
        yield client, ids


def runs(client: TestClient, id: str) -> list[dict[str, Any]]:
    reply = client.post(f"/ui/{id}/graphql", json={"query": RUNS})
    assert reply.status_code == 200, reply.text
    return list(reply.json()["data"]["runsOrError"]["results"])


def test_each_episode_has_its_ui(served: tuple[TestClient, dict[str, str]]) -> None:
    client, ids = served
    for task, id in ids.items():
        page = client.get(f"/ui/{id}/runs")
        assert page.status_code == 200 and f"/ui/{id}/_next" in page.text
        # A browser that leaves out the last slash, and one that goes by the other prefix.
        assert client.get(f"/ui/{id}").url.path == f"/ui/{id}/"
        assert client.get(f"/api/ui/{id}/").status_code == 200
        assert {run["jobName"].partition("_")[0] for run in runs(client, id)} == {task}


def test_a_page_of_another_origin_launches_nothing(served: tuple[TestClient, dict[str, str]]) -> None:
    client, ids = served
    id = ids["temporal"]
    before = len(runs(client, id))
    elsewhere = client.post(f"/ui/{id}/graphql", json={"query": RUNS}, headers={"origin": "https://elsewhere.example"})
    assert elsewhere.status_code == 403 and "its own pages only" in elsewhere.text
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(f"/ui/{id}/graphql", headers={"origin": "https://elsewhere.example"}),
    ):
        pass
    own = client.post(f"/ui/{id}/graphql", json={"query": RUNS}, headers={"origin": "http://testserver"})
    assert own.status_code == 200 and len(runs(client, id)) == before


def test_a_run_launched_there_is_in_the_player_s_next_answer(served: tuple[TestClient, dict[str, str]]) -> None:
    client, ids = served
    id, before = ids["temporal"], len(runs(client, ids["ingestion"]))
    config = {"ops": {"temporal__catalog": {"config": {"action": "remove_duplicates"}}}}
    params = {"selector": selection("temporal_repair_catalog"), "runConfigData": config, "mode": "default"}
    answer = client.post(f"/ui/{id}/graphql", json={"query": LAUNCH, "variables": {"p": params}}).json()
    run = answer["data"]["launchPipelineExecution"]["run"]
    assert run["status"] == "SUCCESS"
    step = client.post("/step", json={"episode_id": id, "action": {"action_id": 0}})
    assert step.status_code == 200
    assert any("remove_duplicates on catalog" in act for act in step.json()["observation"]["interventions"])
    assert runs(client, id)[0]["runId"] == run["runId"]
    assert len(runs(client, ids["ingestion"])) == before


def test_a_page_listens_under_the_prefix(served: tuple[TestClient, dict[str, str]]) -> None:
    client, ids = served
    with client.websocket_connect(f"/ui/{ids['temporal']}/graphql", ["graphql-ws"]) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect("/ui/nobody/graphql", ["graphql-ws"]) as socket,
    ):
        socket.receive_json()
    assert closed.value.code == 4404


@pytest.mark.parametrize("path", ["/ui/nobody/", "/ui/nobody/graphql", "/ui/..%2F..%2Fetc/", "/ui/", "/ui/.truth/"])
def test_where_there_is_no_episode_there_is_a_page_that_says_so(
    served: tuple[TestClient, dict[str, str]], path: str
) -> None:
    reply = served[0].get(path)
    assert reply.status_code == 404 and "No such episode" in reply.text
    assert "<script" not in reply.text and "/mario-home" not in reply.text


def test_a_damaged_episode_has_a_page_that_says_so(served: tuple[TestClient, dict[str, str]]) -> None:
    client, _ = served
    id = client.post("/reset", json={"task": "events", "seed": 5}).json()["episode_id"]
    root = Home.default().sandbox(id)
    for name in ("sandbox.json", "dagster/event_log.db"):
        (root / name).unlink()
    reply = client.get(f"/ui/{id}/")
    assert reply.status_code == 410 and "damaged" in reply.text


def test_nothing_can_be_launched_once_the_episode_is_over(served: tuple[TestClient, dict[str, str]]) -> None:
    client, _ = served
    id = client.post("/reset", json={"task": "referential", "seed": 6}).json()["episode_id"]
    ask_permissions = {"query": "{ permissions { permission value disabledReason } }"}

    def allowed() -> set[str]:
        found = client.post(f"/ui/{id}/graphql", json=ask_permissions).json()["data"]["permissions"]
        return {each["permission"] for each in found if each["value"]}

    assert "launch_pipeline_execution" in allowed()
    while not client.post("/step", json={"episode_id": id, "action": {"action_id": 15}}).json()["done"]:
        pass
    assert allowed() == set()


def test_without_leave_nothing_can_be_launched(served: tuple[TestClient, dict[str, str]]) -> None:
    id = served[1]["ingestion"]
    uis = EpisodeUIs()
    try:
        assert launch(asking(uis, f"/ui/{id}"), job="ingestion_refresh")["__typename"] == "UnauthorizedError"
    finally:
        uis.close()


def test_the_longest_unused_and_the_idle_are_closed(served: tuple[TestClient, dict[str, str]]) -> None:
    ids = list(served[1].values())
    uis = EpisodeUIs(max_open=1)
    for id in ids:
        asking(uis, f"/ui/{id}")(RUNS)
    assert len(uis) == 1
    # Opened again, as if it had never been closed.
    assert asking(uis, f"/ui/{ids[0]}")(RUNS)["runsOrError"]["results"]
    uis.close()
    idle = EpisodeUIs(idle_seconds=0.2)

    async def look_and_wait() -> tuple[int, int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=idle), base_url="http://ui") as client:
            await client.get(f"/ui/{ids[0]}/")
        opened = len(idle)
        await asyncio.sleep(1)
        return opened, len(idle)

    assert asyncio.run(look_and_wait()) == (1, 0)


def test_agent_and_engineer_at_once_lose_nothing(served: tuple[TestClient, dict[str, str]]) -> None:
    client, _ = served
    id = client.post("/reset", json={"task": "temporal", "seed": 9}).json()["episode_id"]
    told: list[tuple[str, str]] = []
    uis = EpisodeUIs(allow_repair=True, on_run_finished=lambda *run: told.append(run))
    before = len(runs(client, id))
    done: list[str] = []

    def engineer() -> None:
        ask = asking(uis, f"/ui/{id}")
        for _ in range(4):
            done.append(launched(ask, job="temporal_validate_catalog")[0])

    thread = threading.Thread(target=engineer)
    thread.start()
    answers = [client.post("/step", json={"episode_id": id, "action": {"action_id": 14}}).status_code for _ in range(4)]
    thread.join(60)
    uis.close()
    assert answers == [200] * 4 and len(done) == 4
    assert told == [(id, run_id) for run_id in done]
    assert len(runs(client, id)) == before + 8


def test_uis_are_opened_quickly(served: tuple[TestClient, dict[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    """No timed assertion: what it took is printed."""
    id = served[1]["temporal"]
    took = []
    for _ in range(5):
        uis = EpisodeUIs(allow_repair=True)
        began = time.perf_counter()
        asking(uis, f"/ui/{id}")("{ version }")
        took.append(time.perf_counter() - began)
        uis.close()
    with capsys.disabled():
        print(f"\nfirst answer of a UI: {min(took) * 1000:.0f} ms")
