"""What people are told between runs is what the player is told: checks, freshness, the incident's page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mario_dagster.assets.incident import PAGE, incident_key
from mario_dagster.assets.metadata import fit_name
from mario_dagster.core.action import Action
from mario_dagster.core.registry import tasks
from mario_dagster.engine.told import freshness
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.ui import OpenUI
from tests.graphql import asking, checks_of

FRESHNESS = """
query ($a: AssetKeyInput!) { assetNodeOrError(assetKey: $a) { ... on AssetNode { description
  freshnessStatusInfo { freshnessStatus } } } }"""
HEALTH = {"PASS": "HEALTHY", "WARN": "WARNING", "FAIL": "DEGRADED"}


@pytest.fixture(params=[task.slug for task in tasks()])
def episode(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Episode]:
    options = {"task": request.param, "seed": 7, "split": "train", "episode_id": "told"}
    episode = Episode.start(reset_options(options), home=Home(tmp_path))
    episode.newest()
    yield episode
    episode.close()


def ui_of(episode: Episode) -> OpenUI:
    return OpenUI(episode.id, home=episode.sandbox.home, prefix="/ui/told", allow_repair=True)


def require_one_truth(episode: Episode, ask: Any) -> None:
    """Every check but the audits is evaluated of what is stored now, as the player sees it; and freshness is."""
    task, signals = episode.task, episode.sandbox.signals()
    shown: dict[str, Any] = {}
    for table in task.table_names:
        shown |= checks_of(ask, f"{task.slug}/{table}")
    for name, outcome in signals.check_outcomes.items():
        assert shown[name] is not None, f"{name} is not evaluated"
        assert (shown[name]["status"] == "SUCCEEDED") is outcome.passed, name
        assert (shown[name]["evaluation"]["description"] or "") == outcome.detail
    for table in task.tables:
        assert shown[fit_name(table)] is not None, table.name
    for table in task.derived_tables:
        node = ask(FRESHNESS, a={"path": [task.slug, table.name]})["assetNodeOrError"]
        state = freshness(task, signals.freshness_lag_minutes, table.name in signals.stale_tables)
        assert node["freshnessStatusInfo"]["freshnessStatus"] == HEALTH[state]


def test_the_ui_and_the_player_have_one_truth_at_every_step(episode: Episode) -> None:
    ui = ui_of(episode)
    try:
        ask = asking(ui, "/ui/told")
        require_one_truth(episode, ask)
        solution = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
        for action in solution[:6]:
            episode.step(action)
            require_one_truth(episode, ask)
        for action in solution[6:]:
            episode.step(action)
        require_one_truth(episode, ask)
    finally:
        ui.close()


def test_the_page_stands_in_the_description_and_its_links_lead_into_this_ui(episode: Episode) -> None:
    ui, slug = ui_of(episode), episode.task.slug
    try:
        ask = asking(ui, "/ui/told")
        described = ask(FRESHNESS, a={"path": [slug, "incident"]})["assetNodeOrError"]["description"]
        assert f"{episode.task.name}: open" in described and "](/ui/told/locations/" in described
        for name, outcome in episode.sandbox.signals().check_outcomes.items():
            assert (f"[{name}]" in described) is not outcome.passed
    finally:
        ui.close()


def test_each_step_that_changes_something_is_a_point_of_the_plots(episode: Episode) -> None:
    instance, key = episode.sandbox.instance, incident_key(episode.task)
    solution = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    for action in (Action(0), *solution[:3], Action(1)):
        episode.step(action)
    events = instance.fetch_materializations(key, limit=50).records
    pages = [event.asset_materialization.metadata for event in reversed(events) if event.asset_materialization]
    changed = [line["step"] for line in episode.sandbox.steps if line.get("changed")]
    assert [page["step"].value for page in pages] == [0, *changed]
    seen = episode.newest().observation
    assert pages[-1]["score"].value == pytest.approx(seen["current_score"])
    assert isinstance(pages[-1][PAGE], dg.MarkdownMetadataValue)
