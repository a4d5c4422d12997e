"""What guides a player is true all the way: along every family's solution, and along the heuristic's play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mario_dagster.checks.contract import contract_report
from mario_dagster.checks.outcome import CheckFailure
from mario_dagster.core.action import Action
from mario_dagster.core.registry import task, tasks
from mario_dagster.core.task import Profile
from mario_dagster.env import reward
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.subgoals import progress
from mario_dagster.incidents.profiles import profiles
from mario_dagster.policies.heuristic import HeuristicPolicy
from mario_dagster.sandbox.home import Home
from tests.checks.temporal_tables import CATALOG, clean_tables, put

SEED = 0
CATALOGUE = [each for found in tasks() for by_name in (False, True) for each in profiles(found, by_name_only=by_name)]


def begin(profile: Profile, home: Path) -> Episode:
    """An episode in which nothing of the truth shapes the reward."""
    options = {"task": profile.task, "profile": profile.name, "split": profile.splits[-1], "seed": SEED}
    return Episode.start(reset_options({**options, "feedback": "checks"}), home=Home(home))


def says_to_commit(seen: Mapping[str, Any], slug: str) -> bool:
    subgoals = task(slug).subgoals
    return bool(subgoals) and subgoals.get(seen["active_subgoal"]) == "published"


def looked_through(seen: Mapping[str, Any], slug: str) -> None:
    """Nobody is told to publish while a check fails."""
    if says_to_commit(seen, slug):
        assert not seen["failing_checks"] and not seen["check_failures"], seen["reward_machine_state"]


@pytest.mark.parametrize("profile", CATALOGUE, ids=lambda each: each.name)
def test_along_a_solution_no_step_is_paid_less_than_it_costs(tmp_path: Path, profile: Profile) -> None:
    episode = begin(profile, tmp_path)
    solution = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    ready, truth = False, episode.sandbox.grade().score
    for move in solution:
        ready = ready or says_to_commit(episode.reply().observation, profile.task)
        seen = episode.step(move).observation
        if not seen["done"]:
            looked_through(seen, profile.task)
        told = (move.name, move.target_column, seen["reward_breakdown"])
        assert seen["reward_breakdown"]["score_change"] >= 0 or seen["done"], told
        # Repeats that solutions need are another matter than what a step is worth.
        assert seen["reward"] - seen["reward_breakdown"]["repetition"] >= reward.STEP_COST - 1e-9, told
        # With feedback of truth it would have been paid by this.
        before, truth = truth, episode.sandbox.grade().score
        assert truth >= before - 1e-9, told
    if task(profile.task).subgoals and solution[-1].name == "commit_changes":
        assert ready and seen["active_subgoal"] == "" and seen["reward_machine_state"].endswith(":done")
        assert seen["recent_errors"] == [] and seen["recent_failure_counters"] == {}
    episode.close()


@pytest.mark.parametrize("profile", CATALOGUE, ids=lambda each: each.name)
def test_along_the_heuristics_play_nobody_is_told_to_publish_while_a_check_fails(
    tmp_path: Path, profile: Profile
) -> None:
    episode, player = begin(profile, tmp_path), HeuristicPolicy()
    player.begin(SEED)
    seen = episode.reply().observation
    while not seen["done"]:
        looked_through(seen, profile.task)
        seen = episode.step(player.choose(seen)).observation
    episode.close()


@pytest.mark.parametrize(
    ("table", "reason", "subgoal"),
    [
        ("orders", "fewer_than_declared", "normalize_orders_stream"),
        ("products", "bad_category", "refresh_daily_summary"),
        ("daily_summary", "stale", "refresh_daily_summary"),
        ("orders", "pending_batch", "load_incremental_backlog"),
    ],
)
def test_a_failure_is_the_business_of_the_subgoal_that_mends_it(
    tmp_path: Path, table: str, reason: str, subgoal: str
) -> None:
    profile = next(each for each in CATALOGUE if each.task == "incremental")
    episode = begin(profile, tmp_path)
    for fields in episode.sandbox.truth_store.solution[:-1]:
        episode.step(Action.from_dict(fields))
    right = episode.sandbox.signals()
    assert progress(episode.task, right).active == "commit_recovery"
    wrong = replace(right, check_failures=(CheckFailure("some_check", table, "", reason, 1),))
    assert progress(episode.task, wrong).active == subgoal
    episode.close()


def test_a_word_for_no_value_is_as_missing_as_a_null() -> None:
    tables = clean_tables()
    put(tables, "catalog", "category", {1: "n/a", 3: None})
    report = contract_report(tables["catalog"], CATALOG)
    assert report.column_counts["category"]["missing_value"] == 2
    texts = (
        tables["catalog"]
        .assign(unit_price=["9.5", " N/A", "tbd", "1.0", "2.0"])
        .convert_dtypes(dtype_backend="pyarrow")
    )
    assert contract_report(texts, CATALOG).column_counts["unit_price"] == {"missing_value": 2, "wrong_type": 1}
    # A name may be any word.
    put(tables, "catalog", "product_name", {1: "None"})
    assert "product_name" not in contract_report(tables["catalog"], CATALOG).column_counts


@pytest.mark.parametrize("slug", [each.slug for each in tasks() if each.pool])
def test_surplus_workers_are_named_among_what_recovery_takes(slug: str) -> None:
    assert any("recovery workers" in required for required in task(slug).card.recovery_requirements)
