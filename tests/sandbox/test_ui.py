"""The Dagster UI on an episode, in a real browser: red checks, failed runs, missing batches, the agent's runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Page

from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.ui import OpenUI
from tests.browser import browsing, needs_a_browser, shows


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Episode]:
    """One that is under way: a step that failed, and two repairs."""
    home = Home(tmp_path_factory.mktemp("home"))
    episode = Episode.start(reset_options({"task": "temporal", "seed": 4, "episode_id": "seen"}), home=home)
    for move in [Action(18), *[Action.from_dict(each) for each in episode.sandbox.truth_store.solution[:2]]]:
        episode.step(move)
    yield episode
    episode.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{url}/server_info", timeout=2).raise_for_status()
            return
        except httpx.HTTPError:
            assert alive() and time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def ui(episode: Episode) -> Iterator[str]:
    """The episode's own UI, as the server has it, in this process."""
    app, port = OpenUI("seen", home=episode.sandbox.home, prefix="/ui/seen", allow_repair=True), free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}/ui/seen"
    wait_for(url, thread.is_alive)
    yield url
    server.should_exit = True
    thread.join(30)
    app.close()


@pytest.fixture(scope="module")
def stock(episode: Episode) -> Iterator[str]:
    """Stock dagster-webserver, in a process of its own, on the same episode."""
    root, port = episode.sandbox.root, free_port()
    words = ["-m", "mario_dagster.definitions", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("dagster-webserver")), *words],
        env={**os.environ, "DAGSTER_HOME": str(root / "dagster"), "MARIO_SANDBOX": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    wait_for(url, lambda: server.poll() is None)
    yield url
    server.terminate()
    server.wait(timeout=60)


PLACES = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { ... on RepositoryLocation {
  repositories { name jobs { name runs { runId } }
    schedules { name scheduleState { runsCount ticks { runIds } } } } } } } } } }"""


def places(url: str) -> dict[str, Any]:
    """What a UI lists of one task under its jobs and its schedule: ids of runs, by name."""
    reply = httpx.post(f"{url}/graphql", json={"query": PLACES}, timeout=60).json()
    (entry,) = reply["data"]["workspaceOrError"]["locationEntries"]
    (repository,) = entry["locationOrLoadError"]["repositories"]
    jobs = {job["name"]: sorted(run["runId"] for run in job["runs"]) for job in repository["jobs"]}
    schedules = {each["name"]: each["scheduleState"]["ticks"] for each in repository["schedules"]}
    return {name: found for name, found in {**jobs, **schedules}.items() if name.startswith("temporal_") and found}


def test_both_uis_list_the_same_runs_under_their_job_and_schedule(ui: str, stock: str) -> None:
    served = places(ui)
    assert served == places(stock)
    assert len(served["temporal_repair_source_orders"]) == 2
    assert len(served["temporal_every_hour"]) == len(served["temporal_hourly"]) == 2
    ticked = {run_id for tick in served["temporal_every_hour"] for run_id in tick["runIds"]}
    assert ticked == set(served["temporal_hourly"])


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browsing() as page:
        yield page


@needs_a_browser
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/overview/activity/timeline", ["temporal_repair_source_orders", "temporal_replay", "temporal_hourly"]),
        (
            "/locations/__repository__@mario_dagster.definitions/jobs/temporal_repair_source_orders/runs",
            ["mario/action: cast_to_float", "mario/action: cast_to_string", "agent"],
        ),
        (
            "/locations/__repository__@mario_dagster.definitions/schedules/temporal_every_hour",
            ["1 run requested", "temporal_hourly"],
        ),
        (
            "/assets/temporal/source_orders?view=checks&checkDetail=order_ids_are_unique",
            ["Failed", "order_id", "each order_id once"],
        ),
        ("/deployment/concurrency", ["recovery_workers"]),
        (
            "/runs?q%5B0%5D=status%3AFAILURE",
            ["temporal_hourly", "temporal_replay", "mario/actor: scheduler", "Failure"],
        ),
        ("/runs", ["mario/action: replay_priority_batch", "mario/episode: seen", "temporal_repair_source_orders"]),
        ("/assets/temporal/source_orders?view=checks", ["source_orders_is_fit_to_publish", "Failed"]),
        (
            "/assets/temporal/incident",
            [
                "Temporal Rollup Recovery: open, 32 steps left",
                "incident's clock",
                "replay_priority_batch t05",
                "What fails",
            ],
        ),
        ("/assets/temporal/hourly_rollup", ["missing: ", "not in the contract", "Freshness policy", "delta version"]),
        ("/assets/temporal/landed_orders?view=partitions", ["t12", "Missing (", "Materialized ("]),
    ],
)
def test_a_page_shows_the_incident(ui: str, page: Page, path: str, shown: list[str]) -> None:
    page.goto(f"{ui}{path}")
    shows(page, *shown)
