"""What a server tells of itself and of an episode: grades, cards, schemas, its manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from fastapi.testclient import TestClient

from mario_dagster.core.registry import task, tasks
from mario_dagster.env.reward import REWARD_RANGE
from mario_dagster.sandbox.home import Home
from mario_dagster.server.app import build_app
from tests.serving import REPO

from .asking import start, step

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
