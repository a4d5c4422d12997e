"""The UI of a sandbox: its own pipeline, who launched what, and repairs by hand."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from starlette.testclient import TestClient

from mario_dagster import definitions
from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.runtime.instance import run_job
from mario_dagster.runtime.location import MODULE, REPOSITORY
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.ui import LOOK_ONLY, OpenUI
from tests.graphql import RERUN, RUNS, SET_SLOTS, asking, launch, launched


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Episode]]:
    home = Home(tmp_path_factory.mktemp("ui"))
    options = {"one": ("temporal", 4), "other": ("ingestion", 7)}
    found = {
        id: Episode.start(reset_options({"task": task, "seed": seed, "episode_id": id}), home=home)
        for id, (task, seed) in options.items()
    }
    found["one"].step(Action(18))
    yield found
    for episode in found.values():
        episode.close()


def opened(episode: Episode, allow_repair: bool = True, **options: Any) -> OpenUI:
    home = episode.sandbox.home
    return OpenUI(episode.id, home=home, prefix=f"/ui/{episode.id}", allow_repair=allow_repair, **options)


def test_a_sandbox_shows_its_own_pipeline_and_runs(episodes: Mapping[str, Episode]) -> None:
    """Two at once, each with its own."""
    uis = {id: opened(episode) for id, episode in episodes.items()}
    try:
        asks = {id: asking(ui, f"/ui/{id}") for id, ui in uis.items()}
        workspace = """
        { workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
          ... on RepositoryLocation { repositories { name assetGroups { groupName } jobs { name runs { jobName } }
          assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks { name } } }
          } } } } } } } }"""
        found = {id: ask(workspace)["workspaceOrError"]["locationEntries"] for id, ask in asks.items()}
        for id, (entry,) in found.items():
            (repository,) = entry["locationOrLoadError"]["repositories"]
            slug = episodes[id].task.slug
            assert (entry["name"], repository["name"]) == (MODULE, REPOSITORY)
            assert [group["groupName"] for group in repository["assetGroups"]] == [slug]
            jobs = {job["name"]: job["runs"] for job in repository["jobs"]}
            assert all(name.startswith((f"{slug}_", "__ASSET_JOB")) for name in jobs)
            assert not any("inject" in name for name in jobs)
            assert len(jobs[f"{slug}_hourly"]) == 2
            assert "grade" not in json.dumps(repository["assetNodes"])
        launched(asks["one"], assets=["temporal/catalog"])
        count = {id: len(ask(RUNS)["runsOrError"]["results"]) for id, ask in asks.items()}
        assert count["one"] == len(episodes["one"].sandbox.instance.get_runs())
        assert count["other"] == len(episodes["other"].sandbox.instance.get_runs())
        assert not any("catalog" in run.job_name for run in episodes["other"].sandbox.instance.get_runs())
    finally:
        for ui in uis.values():
            ui.close()


def test_every_run_stands_in_the_ui_with_who_launched_it(episodes: Mapping[str, Episode]) -> None:
    ui = opened(episodes["one"])
    try:
        ask = asking(ui, "/ui/one")
        runs = ask("""{ runsOrError { ... on Runs { results {
          jobName repositoryOrigin { repositoryName repositoryLocationName } tags { key value } } } } }""")
        for run in runs["runsOrError"]["results"]:
            assert run["repositoryOrigin"] == {"repositoryName": REPOSITORY, "repositoryLocationName": MODULE}
        tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in runs["runsOrError"]["results"]]
        by = {run.get("user") or run.get("dagster/schedule_name") for run in tags if "mario/actor" in run}
        assert by == {"agent", "scheduler", "temporal_every_hour"}
        of_schedule = """
        { scheduleOrError(scheduleSelector: {repositoryName: "%s", repositoryLocationName: "%s",
          scheduleName: "temporal_every_hour"}) { ... on Schedule { scheduleState { runsCount } } } }"""
        schedule = ask(of_schedule % (REPOSITORY, MODULE))["scheduleOrError"]
        assert schedule["scheduleState"]["runsCount"] == 2
    finally:
        ui.close()


def test_a_repair_by_hand_is_in_the_agent_s_next_look(episodes: Mapping[str, Episode]) -> None:
    episode, told = episodes["one"], list[str]()
    ui = opened(episode, on_run_finished=told.append)
    try:
        ask = asking(ui, "/ui/one")
        pool = episode.task.pool
        (refused,) = ask(SET_SLOTS, errors=True, pool=pool, slots=10)
        assert "1 to 3 slots, not 10" in refused["message"]
        ask(SET_SLOTS, pool=pool, slots=3)
        run_id, status = launched(ask, {"dagster/partition": "t05"}, job="temporal_replay")
        assert status == "SUCCESS" and told == [run_id]
    finally:
        ui.close()
    assert "t05" not in episode.sandbox.signals().pending_batches
    assert episode.sandbox.signals().resource_level == 3


def test_whoever_may_only_look_is_told_why(episodes: Mapping[str, Episode]) -> None:
    ui = opened(episodes["one"], allow_repair=False)
    try:
        permissions = asking(ui, "/ui/one")("{ permissions { value disabledReason } }")["permissions"]
        assert {(each["value"], each["disabledReason"]) for each in permissions} == {(False, LOOK_ONLY)}
    finally:
        ui.close()


def test_a_run_that_was_cut_short_leaves_no_table_version(episodes: Mapping[str, Episode]) -> None:
    """The process ends between what a run wrote and its commit: whoever looks next finds the tables as they were."""
    episode = episodes["one"]
    before = episode.sandbox.workspace.lake.version("temporal/catalog")
    ui = opened(episode)
    try:
        workspace = ui._ui.workspace
        with pytest.raises(KeyboardInterrupt), workspace.acting():
            run = run_job(ui._instance, definitions.job("temporal_repair_catalog"), tags={})
            assert run.success
            raise KeyboardInterrupt
    finally:
        ui.close()
    with episode.sandbox.look():
        assert episode.sandbox.workspace.lake.version("temporal/catalog") == before


def test_twenty_uis_are_cheap(episodes: Mapping[str, Episode], capsys: pytest.CaptureFixture[str]) -> None:
    """No timed assertion: what each took is printed."""
    opened(episodes["one"]).close()
    process = psutil.Process()
    memory, began = process.memory_info().rss, time.perf_counter()
    uis = [opened(episodes["one"]) for _ in range(20)]
    seconds = time.perf_counter() - began
    try:
        for ui in uis:
            assert asking(ui, "/ui/one")("{ version }")["version"] == dg.__version__
        grown = process.memory_info().rss - memory
        with capsys.disabled():
            print(f"\n20 UIs: {seconds * 50:.1f} ms to open each, {grown / 20 / 1e6:.2f} MB each")
    finally:
        for ui in uis:
            ui.close()


def test_a_page_is_served_under_its_prefix(episodes: Mapping[str, Episode]) -> None:
    ui = opened(episodes["one"])
    try:
        with TestClient(ui) as client:
            page = client.get("/ui/one/runs")
            assert page.status_code == 200 and "/ui/one/_next" in page.text
            assert client.get("/ui/one/favicon.ico").status_code == 200
            assert client.get("/ui/other/runs").status_code == 404
    finally:
        ui.close()


def test_a_run_that_is_executed_again_is_a_person_s_though_the_agent_s_was_the_first(
    episodes: Mapping[str, Episode],
) -> None:
    episode = episodes["one"]
    first = next(run for run in episode.sandbox.instance.get_runs() if run.tags.get("mario/actor") == "agent")
    ui = opened(episode, on_run_finished=lambda _: episode.take_up())
    try:
        ask = asking(ui, "/ui/one")
        launched_again = ask(RERUN, p={"parentRunId": first.run_id, "strategy": "ALL_STEPS"})
        assert launched_again["launchPipelineReexecution"]["__typename"] == "LaunchRunSuccess", launched_again
    finally:
        ui.close()
    assert episode.sandbox.steps[-1]["actor"] == "engineer"
    newest = episode.sandbox.instance.get_runs(limit=1)[0]
    assert newest.tags["mario/actor"] == newest.tags["user"] == "engineer"


def test_of_two_commits_at_once_one_publishes_and_the_other_finds_it_over(tmp_path: Path) -> None:
    home = Home(tmp_path)
    episode = Episode.start(reset_options({"task": "ingestion", "seed": 3, "episode_id": "race"}), home=home)
    for fields in episode.sandbox.truth_store.solution[:-1]:
        episode.step(Action.from_dict(fields))
    ui = opened(episode, on_run_finished=lambda _: episode.take_up())
    try:
        asks = [asking(ui, "/ui/race") for _ in range(2)]
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(launch, ask, job="ingestion_commit") for ask in asks]
            played = pool.submit(episode.step, Action(15)).result()
        kinds = sorted(answer.result()["__typename"] for answer in answers)
    finally:
        ui.close()
    assert played.done and episode.state()["success"] is True
    commits = [run for run in episode.sandbox.instance.get_runs() if run.job_name == "ingestion_commit"]
    since = [run for run in commits if "mario/phase" not in run.tags]
    published = [run for run in since if run.status is dg.DagsterRunStatus.SUCCESS]
    assert len(published) == 1
    # The other person's is refused, or was a run that failed: the tables of an episode that is over stay as they are.
    assert len(kinds) == 2 and len(since) <= 3
    assert [line.get("done", False) for line in episode.sandbox.steps].count(True) == 1
    release = episode.sandbox.release()
    assert release is not None and release.run_id == published[0].run_id
