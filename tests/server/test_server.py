"""The server as clients meet it: sessions over `/ws`, episodes by id over HTTP, graders, cards and a restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from fastapi.testclient import TestClient
from openenv.core.env_server.serialization import serialize_observation
from openenv.core.env_server.types import Action as WireAction
from openenv.core.env_server.types import Observation, State

from mario_dagster.core.action import Action
from mario_dagster.core.registry import task, tasks
from mario_dagster.env.client import MarioEnv
from mario_dagster.env.environment import MarioEnvironment, observation
from mario_dagster.env.episode import Episode
from mario_dagster.env.models import MarioAction, MarioObservation, MarioState
from mario_dagster.env.options import ResetOptions, reset_options
from mario_dagster.env.reward import REWARD_RANGE
from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from mario_dagster.server.open_episodes import Episodes

REPO = Path(__file__).resolve().parents[2]
INCIDENT = {"task": "temporal", "seed": 7}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIO_HOME", str(root))
        yield Home(root)


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


def options() -> ResetOptions:
    return reset_options(INCIDENT)


def start(client: TestClient, **keywords: Any) -> str:
    reply = client.post("/reset", json={**INCIDENT, **keywords})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["episode_id"])


def step(client: TestClient, id: str, **action: Any) -> dict[str, Any]:
    reply = client.post("/step", json={"episode_id": id, "action": action})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


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


# --- grading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/grader", "/grade/temporal", "/grade/5", "/grade/task_5", "/grader/debug"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_grader_answers_for_the_episode_that_is_named(client: TestClient, path: str, method: str) -> None:
    id = start(client)
    step(client, id, action_id=15)
    named = {"params": {"episode_id": id}} if method == "GET" else {"json": {"episode_id": id}}
    graded = client.request(method, path, **named).json()  # type: ignore[arg-type]
    assert graded["episode_id"] == id and graded["finished"] and graded["feedback"] == "truth"
    assert 0.01 <= graded["score"] < task("temporal").threshold


def test_the_debugging_grader_says_more(client: TestClient) -> None:
    id = start(client)
    graded = client.get("/grade-debug/temporal", params={"episode_id": id}).json()
    more = {"success", "threshold", "grader_mode", "steps", "truncated", "done_reason", "minutes_to_recover"}
    assert more <= graded.keys() and graded["grader_mode"] == "episode"


def test_nobody_elses_play_is_graded(home: Home) -> None:
    client = TestClient(build_app())
    id = start(client)
    stranger = TestClient(build_app())
    assert stranger.get("/grader", params={"episode_id": "never-played"}).status_code == 404
    assert id not in stranger.get("/grader", params={"episode_id": id[:-1]}).text
    assert stranger.get("/grade/nonsense", params={"episode_id": id}).status_code == 404
    assert stranger.get("/grader", params={"baseline": "nobody"}).status_code == 422
    assert stranger.post("/baseline", json={"policy_mode": "nobody"}).status_code == 422
    assert stranger.get("/grader", params={"baseline": "x", "episode_id": id}).status_code == 422


@pytest.mark.skipif(len(tasks()) < 2, reason="an episode can only be taken for another task's where there are two")
def test_an_episode_is_graded_under_its_own_task_only(client: TestClient) -> None:
    id = start(client)
    other = next(each for each in tasks() if each.slug != "temporal")
    assert client.get(f"/grade/{other.slug}", params={"episode_id": id}).status_code == 409


# --- cards ------------------------------------------------------------------------------------------------------------

PAGES = [
    "/health", "/metadata", "/schema", "/openapi.json", "/docs", "/tasks", "/validate", "/benchmark-metadata",
    "/benchmark/metadata", "/benchmark/tasks", "/benchmark/profiles", "/benchmark/runs", "/benchmark/adaptation",
    "/list_environments", "/",
]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_what_can_be_read_is_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_every_task_is_listed_with_its_graders_address(client: TestClient) -> None:
    listed = client.get("/tasks", headers={"x-forwarded-proto": "https", "x-forwarded-host": "mario.example"}).json()
    assert [each["slug"] for each in listed["tasks"]] == [each.slug for each in tasks()]
    assert listed["tasks"][-1]["grader_url"].startswith("https://mario.example/grade/")


def test_what_no_seed_draws_is_listed_apart(client: TestClient) -> None:
    asked = {each["slug"]: each["profiles_by_name_only"] for each in client.get("/tasks").json()["tasks"]}
    listed = client.get("/benchmark/profiles").json()
    for slug, named in asked.items():
        assert {f"judgement_{slug}_false_alarm", "composed:easy"} <= named.keys() and all(named.values())
        told = (listed.get("profiles") or listed)[slug]
        assert told["by_name_only"] == named and not named.keys() & {*told["train"], *told["eval"]}


def test_the_schemas_are_ours(client: TestClient) -> None:
    schema = client.get("/schema").json()
    assert schema["action"]["properties"]["action_id"]["maximum"] == 19
    assert "pending_batches" in schema["observation"]["properties"] and "best_score" in schema["state"]["properties"]


def test_the_server_validates_itself(client: TestClient) -> None:
    assert client.get("/validate").json()["valid"]


def test_openenv_finds_a_valid_server(url: str) -> None:
    from openenv.cli._validation import validate_running_environment

    report = validate_running_environment(url, timeout_s=20)
    assert report["passed"], report["summary"]
    assert report["mode"] == "simulation"


def test_the_manifest_is_valid_and_says_what_the_code_says() -> None:
    from openenv.validation import Level, Verdict, run_validation

    report = run_validation(REPO, max_level=Level.STATIC, skip_build=True)
    assert report.verdict is not Verdict.FAIL, report
    manifest = yaml.safe_load((REPO / "openenv.yaml").read_text())
    assert tuple(manifest["validation"]["reward"]["range"]) == REWARD_RANGE


def test_the_runtime_plan_is_playable(client: TestClient) -> None:
    plan = json.loads((REPO / "validation" / "runtime.json").read_text())
    reset = plan["reset"]
    with client.websocket_connect("/ws") as ws:
        ws.send_json(
            {"type": "reset", "data": {**reset["options"], "seed": reset["seed"], "episode_id": reset["episode_id"]}}
        )
        assert ws.receive_json()["type"] == "observation"
        for number, action in enumerate(plan["actions"], 1):
            ws.send_json({"type": "step", "data": action})
            reply = ws.receive_json()
            assert reply["type"] == "observation"
            assert not reply["data"]["observation"]["action_result"].startswith("invalid")
            ws.send_json({"type": "state"})
            state = ws.receive_json()["data"]
            assert (state["episode_id"], state["step_count"]) == (reset["episode_id"], number)


def test_the_engine_does_not_import_the_facade() -> None:
    code = (
        "import sys; from mario_dagster.env import episode, options, players;"
        "import mario_dagster.sandbox.sandbox;"
        "sys.exit(any(name.split('.')[0] in ('openenv', 'fastapi') for name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment).returncode == 0
