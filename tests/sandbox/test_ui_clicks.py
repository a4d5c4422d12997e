"""A repair by hand, click by click, and a commit that ends the episode, in the server's own UI of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from playwright.sync_api import Page, expect

from mario_dagster.core.action import Action, ActionId
from mario_dagster.env.episode import Episode
from mario_dagster.server.app import build_app
from tests.browser import PATIENCE_MS, browsing, needs_a_browser, shows
from tests.sandbox.test_ui import free_port

pytestmark = needs_a_browser
PAD = "locations/__repository__@mario_dagster.definitions/jobs"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that allows repairs; its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARIO_ALLOW_REPAIR", "1")
        app = build_app()
    port = free_port()
    served = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    while not served.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    served.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browsing() as page:
        yield page


@contextmanager
def started(server: str, task: str, seed: int) -> Iterator[tuple[str, list[Action]]]:
    """An episode's id, and what would solve it."""
    body = {"task": task, "seed": seed, "split": "train"}
    id = httpx.post(f"{server}/reset", json=body, timeout=60).json()["episode_id"]
    episode = Episode.resume(id)
    yield id, [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    episode.close()


def told(server: str, path: str, id: str) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{server}{path}", params={"episode_id": id}, timeout=60).json()
    return found


def test_a_repair_by_clicks_turns_a_check_green_and_is_the_engineer_s(server: str, page: Page) -> None:
    with started(server, "temporal", 1) as (id, _):
        page.goto(f"{server}/ui/{id}/assets/temporal/incident")
        page.get_by_text("Show more").click()
        link = page.get_by_role("link", name="remove_duplicates").first
        link.click()
        shows(page, "action: remove_duplicates", "No errors")
        page.get_by_role("button", name="Launch run").click()
        page.wait_for_url("**/runs/**")
        shows(page, "Success")
        page.goto(f"{server}/ui/{id}/assets/temporal/source_orders?view=checks&checkDetail=order_ids_are_unique")
        shows(page, "Passed")
        page.goto(f"{server}/ui/{id}/assets/temporal/incident")
        shows(page, "could be done: ")
        # What the browser kept of the page is shown first, then what the server says.
        expect(page.get_by_text("duplicate_key")).to_have_count(0, timeout=PATIENCE_MS)
        reply = httpx.post(f"{server}/step", json={"episode_id": id, "action": {"action_id": 1}}, timeout=60).json()
        (act,) = reply["observation"]["interventions"]
        assert act.startswith("remove_duplicates on source_orders")
        line = next(line for line in Episode.resume(id).sandbox.steps if line.get("actor") == "engineer")
        assert line["action"]["action_id"] == ActionId.REMOVE_DUPLICATES and line["reward"] == 0


def test_a_config_that_does_not_fit_is_refused_where_it_is_written(server: str, page: Page) -> None:
    with started(server, "temporal", 1) as (id, _):
        pad = f"{server}/ui/{id}/{PAD}/temporal_repair_catalog/playground/setup"
        before = len(Episode.resume(id).sandbox.instance.get_runs())
        page.goto(f"{pad}?config=ops:%0A  temporal__catalog:%0A    config:%0A      action: cast_to_imt%0A")
        shows(page, "cast_to_imt")
        assert page.get_by_role("button", name="Launch run").is_disabled()
        page.goto(
            f"{pad}?config=ops:%0A  temporal__catalog:%0A    config: {{action: cast_to_int, target_column: x}}%0A"
        )
        page.get_by_role("button", name="Launch run").click()
        shows(page, "catalog: cast_to_int: no column 'x'")
        assert len(Episode.resume(id).sandbox.instance.get_runs()) == before


def test_publishing_by_click_with_a_red_upstream_publishes_nothing(server: str, page: Page) -> None:
    with started(server, "temporal", 1) as (id, _):
        page.goto(f"{server}/ui/{id}/assets/temporal/published_catalog")
        page.get_by_role("button", name="Materialize").first.click()
        page.goto(f"{server}/ui/{id}/runs")
        shows(page, "Failure")
        summary = told(server, "/grader/debug", id)
        assert not summary["finished"]


def test_a_commit_by_click_ends_the_episode_with_the_grader_s_score(server: str, page: Page) -> None:
    with started(server, "ingestion", 3) as (id, solution):
        for action in solution[:-1]:
            body = {"episode_id": id, "action": action.to_dict()}
            httpx.post(f"{server}/step", json=body, timeout=60).raise_for_status()
        assert solution[-1].id is ActionId.COMMIT_CHANGES
        page.goto(f"{server}/ui/{id}/assets/ingestion/incident")
        page.get_by_text("Show more").click()
        page.get_by_role("link", name="ingestion_commit").click()
        page.get_by_role("button", name="Launch run").click()
        page.wait_for_url("**/runs/**")
        shows(page, "Success")
        graded, state = told(server, "/grader", id), told(server, "/state", id)
        assert graded["finished"] and state["done"] and graded["score"] == state["current_score"]
        page.goto(f"{server}/ui/{id}/assets/ingestion/incident")
        shows(page, "over (commit success)", f"{graded['score']:.3f}")
        assert page.get_by_role("button", name="Materialize").is_disabled()
