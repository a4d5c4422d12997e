"""The list of episodes and their postmortems over HTTP: paged, quick, and silent of what a player is not told."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mario_dagster.sandbox import home as sandbox_home
from mario_dagster.sandbox.home import Home, SandboxInfo

from .asking import start, step

COMMIT = 15


@pytest.fixture(scope="module")
def ids(app: Any) -> list[str]:
    """Episodes by age: two over, one of them in eval; three under way, one of them in eval; one damaged."""
    client = TestClient(app)
    made = [
        start(client, task="ingestion", episode_id="over"),
        start(client, task="ingestion", split="eval", episode_id="over-eval"),
        start(client, task="events", episode_id="open"),
        start(client, task="events", split="eval", episode_id="open-eval"),
        start(client, episode_id="temporal"),
        start(client, task="ingestion", episode_id="wrecked"),
    ]
    for id in made[:2]:
        assert step(client, id, action_id=COMMIT)["done"]
    step(client, "open", action_id=0)
    database = Home.default().sandbox("wrecked") / "dagster" / "event_log.db"
    database.unlink()
    database.write_bytes(b"no database")
    return made


@pytest.fixture
def listed(client: TestClient, ids: list[str]) -> dict[str, dict[str, Any]]:
    return {each["episode_id"]: each for each in client.get("/episodes").json()["episodes"]}


def pages(client: TestClient, **query: Any) -> Iterator[list[str]]:
    after: dict[str, str] = {}
    while True:
        page = client.get("/episodes", params={**query, **after}).json()
        yield [each["episode_id"] for each in page["episodes"]]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


# --- the list ---------------------------------------------------------------------------------------------------------


def test_episodes_are_listed_newest_first_and_as_their_players_know_them(
    client: TestClient, listed: dict[str, dict[str, Any]], ids: list[str]
) -> None:
    assert list(listed) == ids[::-1]
    for id in ids[:-1]:
        entry, graded = listed[id], client.get("/grader/debug", params={"episode_id": id}).json()
        state = client.get("/state", params={"episode_id": id}).json()
        assert entry["score"] == graded["score"] and entry["feedback"] == graded["feedback"]
        assert (entry["task"], entry["split"], entry["seed"]) == (graded["task"], graded["split"], graded["seed"])
        assert (entry["steps"], entry["success"]) == (graded["steps"], graded["success"])
        assert entry["profile"] == state["scenario_profile"]
        assert entry["status"] == ("finished" if graded["finished"] else "running")
    assert listed["open-eval"]["profile"] == "undisclosed" != listed["over-eval"]["profile"]
    assert listed["wrecked"]["status"] == "damaged" and listed["wrecked"]["score"] is None


def test_links_of_an_entry_lead_somewhere(client: TestClient, listed: dict[str, dict[str, Any]]) -> None:
    entry = listed["over"]
    assert entry["ui"] == "/ui/over/"
    for name in ("ui", "events", "postmortem"):
        assert client.get(entry[name]).status_code == 200


def test_the_pages_together_are_the_list(client: TestClient, ids: list[str]) -> None:
    for limit in (1, 2, 5, 6, 7):
        found = list(pages(client, limit=limit))
        assert [*chain(*found)] == ids[::-1]
        assert all(len(page) == limit for page in found[:-1]) and found[-1]


def test_a_page_goes_on_where_the_one_before_ended_though_that_is_gone(client: TestClient, ids: list[str]) -> None:
    start(client, task="ingestion", episode_id="passing")
    page = client.get("/episodes", params={"limit": 1}).json()
    assert page["episodes"][0]["episode_id"] == "passing"
    Home.default().remove("passing")
    start(client, task="ingestion", episode_id="newer")
    assert [*chain(*pages(client, limit=3, after=page["next"]))][:3] == ids[::-1][:3]
    Home.default().remove("newer")


def test_the_list_is_of_one_task_or_of_those_that_are_over(client: TestClient, ids: list[str]) -> None:
    def found(**query: Any) -> list[str]:
        return [*chain(*pages(client, limit=1, **query))]

    assert found(task="events") == ["open-eval", "open"] == found(task="task_2")
    assert found(finished="true") == ["over-eval", "over"]
    assert set(found(finished="false")) == set(ids) - {"over", "over-eval"}
    assert found(task="temporal", finished="true") == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": 0}, "1 to 200"),
        ({"limit": 201}, "1 to 200"),
        ({"limit": "many"}, "1 to 200"),
        ({"limit": -1}, "1 to 200"),
        ({"after": "nonsense"}, "next"),
        ({"after": "c29tZQ"}, "next"),
        ({"after": ""}, "next"),
        ({"task": "tempral"}, "temporal"),
        ({"finished": "maybe"}, "true or false"),
        ({"profile": "x"}, "limit, after, task, finished"),
        ({"page": 2}, "limit, after, task, finished"),
    ],
)
def test_a_list_asked_for_wrongly_is_refused_in_words(client: TestClient, query: dict[str, Any], named: str) -> None:
    reply = client.get("/episodes", params=query)
    assert reply.status_code == 422 and named in reply.json()["detail"]


def test_only_the_sandboxes_of_the_page_are_looked_into(
    client: TestClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    check = sandbox_home.Home.check
    monkeypatch.setattr(sandbox_home.Home, "check", lambda self, id: looked.append(id) or check(self, id))
    client.get("/episodes", params={"limit": 2})
    assert looked == ids[::-1][:2]


def test_hundreds_of_episodes_are_listed_quickly(
    client: TestClient, ids: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """No timed assertion: what a page took is printed."""
    home, many = Home.default(), Home(tmp_path)
    for number in range(300):
        copy = f"copy-{number}"
        shutil.copytree(home.sandbox("open"), many.sandbox(copy))
        shutil.copytree(home.truth_store("open"), many.truth_store(copy))
        replace(SandboxInfo.load(many.sandbox(copy)), id=copy).save(many.sandbox(copy))
    monkeypatch.setenv("MARIO_HOME", str(tmp_path))
    took = []
    for _ in range(5):
        began = time.perf_counter()
        page = client.get("/episodes").json()
        took.append(time.perf_counter() - began)
    assert len(page["episodes"]) == 50 and page["next"]
    assert {each["status"] for each in page["episodes"]} == {"running"}
    with capsys.disabled():
        print(f"\na page of 50 of 300 episodes: {min(took) * 1000:.0f} ms")


def test_openapi_describes_the_list(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    routes = {path: described["paths"][path]["get"] for path in described["paths"] if path.startswith("/episodes")}
    assert {name for path in routes for name in [path.rpartition("}")[2] or path]} == {
        "/episodes",
        "/events",
        "/postmortem",
    }
    assert {each["name"] for each in routes["/episodes"]["parameters"]} == {"limit", "after", "task", "finished"}
    content = {path: list(route["responses"]["200"]["content"]) for path, route in routes.items()}
    assert content["/episodes/{episode_id}/events"] == ["text/event-stream"]
    assert content["/episodes/{episode_id}/postmortem"] == ["text/html", "text/markdown"]


# --- postmortems ------------------------------------------------------------------------------------------------------


def test_a_postmortem_is_a_page_or_markdown(client: TestClient, ids: list[str]) -> None:
    page, text = (client.get("/episodes/over/postmortem", params=query) for query in ({}, {"format": "md"}))
    assert page.headers["content-type"].startswith("text/html") and "<h2" in page.text
    assert text.headers["content-type"].startswith("text/markdown") and text.text.startswith("# Postmortem: over")
    assert ">Cause<" in page.text and "## Cause" in text.text


def test_before_the_end_a_postmortem_keeps_the_truth_to_itself(client: TestClient, ids: list[str]) -> None:
    text = client.get("/episodes/open-eval/postmortem", params={"format": "md"}).text
    assert "## Timeline" in text and "## Cause" not in text and "## Solution" not in text
    assert "undisclosed" in text


@pytest.mark.parametrize("path", ["postmortem", "events"])
def test_where_there_is_no_episode_there_is_nothing_to_be_seen(client: TestClient, ids: list[str], path: str) -> None:
    for id in ("nobody", ".truth", "a" * 65, "..%2F.truth", "-x"):
        reply = client.get(f"/episodes/{id}/{path}")
        assert reply.status_code == 404 and str(Home.default().root) not in reply.text
    reply = client.get(f"/episodes/wrecked/{path}")
    assert reply.status_code == 410 and "damaged" in reply.json()["detail"]


def test_a_postmortem_asked_for_wrongly_is_refused_in_words(client: TestClient, ids: list[str]) -> None:
    for query, named in (({"format": "pdf"}, "html, md"), ({"form": "md"}, "format")):
        reply = client.get("/episodes/over/postmortem", params=query)
        assert reply.status_code == 422 and named in reply.json()["detail"]
