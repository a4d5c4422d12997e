"""Freshness is a policy that a task declares once: Dagster, signals, subgoals, observations and scores go by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mario_dagster import definitions
from mario_dagster.assets.graph import build
from mario_dagster.core.registry import task, tasks
from mario_dagster.core.task import Freshness, Task
from mario_dagster.env.episode_state import EpisodeState
from mario_dagster.env.observation import View, observe
from mario_dagster.env.subgoals import progress
from mario_dagster.incidents.profiles import profile
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.scoring.grading import grade_world
from mario_dagster.signals.failures import FailureLog
from mario_dagster.signals.signals import Signals, read_signals
from mario_dagster.tables.spec import pipeline_spec

HERE = ("temporal", "incremental")


@pytest.fixture(scope="module", params=HERE)
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox.create(request.param, seed=3, home=Home(tmp_path_factory.mktemp("home"))) as opened:
        yield opened


def signals_of(sandbox: Sandbox, found: Task) -> Signals:
    graph = definitions.asset_graph()
    return read_signals(
        sandbox.workspace, sandbox.instance, found, sandbox.backlog(), graph, FailureLog(sandbox.instance)
    )


def policies(found: Task) -> dict[str, Any]:
    specs = [spec for each in build(found, pipeline_spec(found).transforms).assets for spec in each.specs]
    return {spec.key.path[-1]: spec.freshness_policy for spec in specs if spec.freshness_policy}


def told(sandbox: Sandbox, found: Task) -> dict[str, Any]:
    """What is made of one and the same pipeline under a task's freshness window."""
    signals = signals_of(sandbox, found)
    grade = grade_world(sandbox.workspace, found, sandbox.truth_store, sandbox.backlog())
    state = EpisodeState("x", 3, "train", 1, "truth", "test", "", found.main_table.name, 0.5, 0.5, 0.5)
    view = View(found, signals, state, profile(sandbox.profile))
    fresh = replace(found, subgoals={"in_time": "fresh"})
    return {
        "severity": observe(view)["sla_severity"],
        "score": grade.parts["freshness"],
        "health": signals.health,
        "fact": progress(fresh, replace(signals, downstream_stale=False, check_failures=())).reached["in_time"],
    }


def test_one_window_moves_policy_check_severity_and_score(sandbox: Sandbox) -> None:
    lag = sandbox.signals().freshness_lag_minutes
    assert lag > 1
    short, long = (replace(sandbox.task, freshness=Freshness(window)) for window in (max(2.0, lag / 2), lag * 20))
    tight, loose = told(sandbox, short), told(sandbox, long)
    assert tight["severity"] == "critical" and loose["severity"] == "elevated"
    assert tight["score"] == 0.0 < loose["score"]
    assert tight["health"] < loose["health"]
    assert not tight["fact"] and loose["fact"]
    for found in (short, long):
        made = policies(found)
        assert set(made) == {table.name for table in found.derived_tables}
        for policy in made.values():
            window = timedelta(minutes=found.freshness.window)
            assert policy == dg.FreshnessPolicy.time_window(fail_window=window, warn_window=window / 2)


def test_the_five_keep_the_windows_they_were_scored_by() -> None:
    windows = {each.slug: each.freshness.window for each in tasks() if each.id <= 5}
    assert windows == {"ingestion": 240, "events": 240, "referential": 240, "incremental": 180, "temporal": 240}
    assert task("temporal").freshness.left(60) == 0.75
    assert task("incremental").freshness.left(60) == pytest.approx(2 / 3)


@pytest.mark.parametrize("window", [0, -5, 1, float("nan"), float("inf")])
def test_a_window_is_one_that_dagster_can_keep(window: float) -> None:
    with pytest.raises(ValueError, match="a freshness window is 2 minutes or more"):
        Freshness(window)


def test_nobody_else_has_minutes_of_their_own() -> None:
    package = Path(definitions.__file__).parent
    for file in ("signals/signals.py", "signals/freshness.py", "env/observation.py", "env/subgoals.py",
                 "assets/graph.py", "tasks/temporal/scoring.py", "tasks/incremental/scoring.py"):  # fmt: skip
        text = (package / file).read_text()
        assert not any(literal in text for literal in ("240", "180", "hours=", "FRESH_MINUTES")), file
