"""The server as clients meet it: sessions over `/ws`, episodes by id over HTTP, and a restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from openenv.core.env_server.serialization import serialize_observation
from openenv.core.env_server.types import Action as WireAction
from openenv.core.env_server.types import Observation, State

from mario_dagster.core.action import Action
from mario_dagster.core.registry import tasks
from mario_dagster.env.client import MarioEnv
from mario_dagster.env.environment import MarioEnvironment, observation
from mario_dagster.env.episode import Episode
from mario_dagster.env.models import MarioAction, MarioObservation, MarioState
from mario_dagster.env.options import ResetOptions, reset_options
from mario_dagster.env.reward import REWARD_RANGE
from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from mario_dagster.server.open_episodes import Episodes
from tests.serving import REPO

from .asking import INCIDENT, start, step


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Home) -> Home:
    """A home without other episodes; it shares the templates of incidents already lived."""
    templates = home.root / ".templates"
    templates.mkdir(exist_ok=True)
    (tmp_path / ".templates").symlink_to(templates)
    monkeypatch.setenv("MARIO_HOME", str(tmp_path))
    return Home(tmp_path)


@pytest.fixture
def client(home: Home) -> TestClient:
    return TestClient(build_app())


def options() -> ResetOptions:
    return reset_options(INCIDENT)


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_the_models_are_openenvs() -> None:
    assert issubclass(MarioAction, WireAction) and issubclass(MarioObservation, Observation)
    assert issubclass(MarioState, State) and MarioEnvironment.SUPPORTS_CONCURRENT_SESSIONS


def test_no_model_has_a_validator_that_could_raise() -> None:
    for model in (MarioAction, MarioObservation, MarioState):
        decorators = model.__pydantic_decorators__
        assert not decorators.field_validators and not decorators.model_validators and not decorators.validators


def test_an_observation_has_exactly_the_models_fields(home: Home) -> None:
    episode = Episode.start(options())
    reply = episode.reply()
    assert set(reply.observation) == set(MarioObservation.model_fields)
    assert set(episode.state()) == set(MarioState.model_fields)
    sent = serialize_observation(observation(reply))
    assert sent["observation"] == {k: v for k, v in reply.observation.items() if k not in ("reward", "done")}
    episode.close()


def test_constructing_an_environment_does_nothing(alone: Home) -> None:
    environment = MarioEnvironment()
    assert environment.state.episode_id is None
    environment.close()
    assert not alone.sandboxes()


def test_the_task_api_names_incidents_that_reset_takes(client: TestClient) -> None:
    assert client.get("/mario_dagster/splits").json() == [
        {"name": "train", "type": "train"},
        {"name": "eval", "type": "test"},
    ]
    count = client.post("/mario_dagster/num_tasks", json={"split": "train"}).json()["num_tasks"]
    found = client.post("/mario_dagster/task", json={"split": "train", "index": 7}).json()["task"]
    assert count == 100 * len(tasks())
    assert client.post("/mario_dagster/task", json={"split": "train", "index": count}).status_code == 400
    assert client.post("/mario_dagster/task", json={"split": "train", "index": -1}).status_code == 400
    if found["task"] == "temporal":
        by_index = client.post("/reset", json={"split": "train", "index": 7}).json()
        by_name = client.post("/reset", json={**INCIDENT, "split": "train"}).json()
        assert by_index["observation"] == by_name["observation"]


# --- over /ws ---------------------------------------------------------------------------------------------------------


def test_a_client_plays_the_gold_plan_over_a_websocket(url: str, home: Home) -> None:
    with MarioEnv(base_url=url).sync() as env:
        result = env.reset(**INCIDENT, episode_id="gold-over-ws")
        assert isinstance(result.observation, MarioObservation) and result.reward is None
        assert env.state().episode_id == "gold-over-ws"
        with Episode.resume("gold-over-ws").sandbox as sandbox:
            moves = [Action.from_dict(each) for each in sandbox.truth_store.solution]
        for number, move in enumerate(moves, 1):
            result = env.step(MarioAction(**move.to_dict()))
            assert env.state().step_count == number == result.observation.steps_taken
            assert REWARD_RANGE[0] <= result.reward <= REWARD_RANGE[1]
        assert result.done and result.observation.done_reason == "commit_success"
        assert env.state().success is True
    graded = httpx.get(f"{url}/grader", params={"episode_id": "gold-over-ws"}).json()
    assert graded["finished"] and graded["score"] == 0.99


def test_eight_sessions_play_at_once_each_its_own_episode(url: str, home: Home) -> None:
    plan = [
        {"action_id": 0},
        {"action_id": 10},
        {"action_id": 16},
        {"action_id": 18},
        {"action_id": 19},
        {"action_id": 14},
    ]

    def play(number: int) -> tuple[str, list[str]]:
        with MarioEnv(base_url=url).sync() as env:
            told = [env.reset(**INCIDENT, episode_id=f"at-once-{number}").observation.model_dump_json()]
            for action in plan:
                told.append(env.step(MarioAction(**action)).observation.model_dump_json())
            return str(env.state().episode_id), told

    with ThreadPoolExecutor(8) as pool:
        played = list(pool.map(play, range(8)))
    assert [id for id, _ in played] == [f"at-once-{number}" for number in range(8)]
    assert len({json.dumps(told) for _, told in played}) == 1


def test_the_loop_answers_while_sessions_work(url: str, home: Home) -> None:
    with MarioEnv(base_url=url).sync() as env:
        env.reset(**INCIDENT)
        worker = threading.Thread(target=lambda: [env.step(MarioAction(action_id=10)) for _ in range(5)])
        worker.start()
        slowest = 0.0
        while worker.is_alive():
            begun = time.perf_counter()
            assert httpx.get(f"{url}/health").json() == {"status": "healthy"}
            slowest = max(slowest, time.perf_counter() - begun)
        assert slowest < 2.0


def test_a_second_reset_leaves_the_first_episode_as_it_was(client: TestClient) -> None:
    with client.websocket_connect("/ws") as ws:
        for id in ("first-of-two", "second-of-two"):
            ws.send_json({"type": "reset", "data": {**INCIDENT, "episode_id": id}})
            assert ws.receive_json()["type"] == "observation"
            ws.send_json({"type": "step", "data": {"action_id": 1}})
            ws.receive_json()
        ws.send_json({"type": "state"})
        assert ws.receive_json()["data"]["episode_id"] == "second-of-two"
    assert client.get("/state", params={"episode_id": "first-of-two"}).json()["step_count"] == 1


def test_a_dropped_session_can_be_taken_up_over_http(client: TestClient) -> None:
    with client.websocket_connect("/ws") as ws:
        ws.send_json({"type": "reset", "data": {**INCIDENT, "episode_id": "dropped"}})
        ws.receive_json()
        ws.send_json({"type": "step", "data": {"action_id": 0, "target_column": "catalog"}})
        told = ws.receive_json()["data"]
    body = step(client, "dropped", action_id=1)
    assert body["observation"]["stage"] == told["observation"]["stage"] == "catalog"
    assert body["observation"]["steps_taken"] == 2


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_reset_step_state_and_grader_speak_of_one_episode(client: TestClient) -> None:
    id = start(client, split="eval")
    assert step(client, id, action_id=0, target_column="catalog")["observation"]["stage"] == "catalog"
    state = client.get("/state", params={"episode_id": id}).json()
    assert (state["episode_id"], state["step_count"], state["active_table"]) == (id, 1, "catalog")
    graded = client.post("/grader", json={"episode_id": id}).json()
    assert (graded["finished"], graded["feedback"], graded["score"]) == (False, "checks", state["current_score"])


def test_http_and_websocket_tell_the_same(client: TestClient) -> None:
    over_http = client.post("/reset", json=INCIDENT).json()
    with client.websocket_connect("/ws") as ws:
        ws.send_json({"type": "reset", "data": INCIDENT})
        over_ws = ws.receive_json()["data"]
    del over_http["episode_id"]
    assert over_http == over_ws


@pytest.mark.parametrize("body", [{"action": {"action_id": 1}}, {"action": 1}, {"action_id": 1}])
def test_an_action_may_be_nested_bare_or_a_number(client: TestClient, body: dict[str, Any]) -> None:
    reply = client.post("/step", json={**body, "episode_id": start(client)})
    assert reply.json()["observation"]["metadata"]["action_name"] == "view_error_log"


def test_the_cookie_names_the_episode(home: Home) -> None:
    app = build_app()
    one, two = TestClient(app), TestClient(app)
    ids = [start(each) for each in (one, two)]
    for each, id in zip((one, two), ids, strict=True):
        assert each.post("/step", json={"action": 1}).json()["episode_id"] == id
        assert each.get("/state").json()["episode_id"] == id
        assert each.get("/grader").json()["episode_id"] == id


def test_without_a_name_only_a_lone_http_episode_is_meant(alone: Home) -> None:
    app = build_app()
    nobody = lambda: TestClient(app)  # noqa: E731 - a new one each time, without cookies
    assert nobody().post("/step", json={"action": 1}).status_code == 409
    with nobody().websocket_connect("/ws") as ws:
        ws.send_json({"type": "reset", "data": INCIDENT})
        ws.receive_json()
        # A session's episode is never meant by a request that names none.
        refused = nobody().post("/step", json={"action": 1})
        assert refused.status_code == 409 and "no episode is under way over HTTP" in refused.json()["detail"]
    id = start(nobody())
    assert nobody().post("/step", json={"action": 1}).json()["episode_id"] == id
    other = start(nobody())
    refused = nobody().post("/step", json={"action": 1})
    assert refused.status_code == 409 and "send the episode_id" in refused.json()["detail"]
    assert id not in refused.text and other not in refused.text
    step(nobody(), other, action_id=15)
    assert nobody().get("/state").json()["episode_id"] == id


def test_two_requests_for_one_episode_take_turns(client: TestClient) -> None:
    id = start(client)
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: step(client, id, action_id=1)["observation"]["steps_taken"], range(6)))
    assert sorted(taken) == [1, 2, 3, 4, 5, 6]


def test_many_episodes_stay_reachable_with_few_open(home: Home) -> None:
    episodes = Episodes(max_open=2)
    ids = [episodes.start(options())[0] for _ in range(5)]
    for _ in range(2):
        for id in ids:
            with episodes.use(id) as episode:
                episode.step(Action(1))
    assert len(episodes._open) <= 2
    for id in ids:
        with episodes.use(id) as episode:
            assert episode.episode_state().steps == 2
    episodes.close()


def test_a_taken_id_is_refused_and_its_episode_unharmed(client: TestClient) -> None:
    start(client, episode_id="taken")
    step(client, "taken", action_id=15)
    again = client.post("/reset", json={**INCIDENT, "episode_id": "taken"})
    assert again.status_code == 409 and "'taken' exists" in again.json()["detail"]
    assert client.get("/grader", params={"episode_id": "taken"}).json()["finished"]


def test_of_many_that_want_one_id_one_gets_it(client: TestClient) -> None:
    wanted = {**INCIDENT, "episode_id": "wanted"}
    start(client)
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: client.post("/reset", json=wanted).status_code, range(6)))
    assert sorted(statuses) == [200] + [409] * 5
    assert step(client, "wanted", action_id=1)["observation"]["steps_taken"] == 1


def test_a_pruned_episode_is_gone(client: TestClient, home: Home) -> None:
    id = start(client)
    home.remove(id)
    assert client.post("/step", json={"episode_id": id, "action": 1}).status_code == 404


def test_everything_is_served_under_api_too(client: TestClient) -> None:
    id = client.post("/api/reset", json=INCIDENT).json()["episode_id"]
    assert client.post("/api/step", json={"episode_id": id, "action": 1}).status_code == 200
    for path in ("health", "metadata", "schema", "tasks", "benchmark/metadata"):
        assert client.get(f"/api/{path}").json() == client.get(f"/{path}").json()
    with client.websocket_connect("/api/ws") as ws:
        ws.send_json({"type": "state"})
        assert ws.receive_json()["type"] == "state"


def test_an_episode_survives_kill_9_in_the_middle_of_a_step(home: Home, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "uvicorn", "mario_dagster.server.app:app", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "MARIO_HOME": str(home.root)}
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{url}/health")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        with httpx.Client(base_url=url, timeout=120) as http:
            id = http.post("/reset", json=INCIDENT).json()["episode_id"]
            told = http.post("/step", json={"episode_id": id, "action": 16}).json()
            state = http.get("/state", params={"episode_id": id}).json()
            killer = threading.Timer(0.06, lambda: server.send_signal(signal.SIGKILL))
            killer.start()
            with pytest.raises(httpx.HTTPError):
                for _ in range(40):
                    http.post("/step", json={"episode_id": id, "action": 10}).raise_for_status()
    finally:
        server.kill()
        server.wait()
        log.close()
    client = TestClient(build_app())
    now = client.get("/state", params={"episode_id": id}).json()
    assert now["step_count"] >= state["step_count"] == told["observation"]["steps_taken"]
    lines = (home.sandbox(id) / "trajectory.jsonl").read_text().splitlines()
    assert len(lines) == now["step_count"] + 1
    body = step(client, id, action_id=18)
    assert body["observation"]["steps_taken"] == now["step_count"] + 1
