"""More than one way is right: another order, or a prudent look, costs its steps and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_dagster.bench.solution_orders import other_order
from mario_dagster.core.action import ACTIONS, Action
from mario_dagster.core.registry import task
from mario_dagster.core.task import Task
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.env.reward import STEP_COST
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home

# What only looks, or only runs checks: of use to whoever does not know the plan yet.
LOOKS = {"inspect_schema", "view_error_log", "sample_data", "validate_schema"}


def returned(home: Home, each: Task, moves: tuple[Action, ...]) -> tuple[float, bool]:
    """The return of an episode in which these moves are played, and whether it was a success."""
    episode = Episode.start(reset_options({"task": each.slug, "seed": 3}), home=home)
    try:
        for move in moves:
            episode.step(move)
        return episode.episode_state().total_reward, bool(episode.summary()["success"])
    finally:
        episode.close()


@pytest.mark.parametrize("slug", ["ingestion", "referential", "temporal"])
def test_an_equivalent_order_and_a_look_beforehand_lose_no_more_than_their_steps(tmp_path: Path, slug: str) -> None:
    """That they recover every incident is for the contract test; this is what they are paid."""
    home, each = Home(tmp_path), task(slug)
    solution = tuple(Action.from_dict(step.to_dict()) for step in compile_incident(each, seed=3).solution)
    other = other_order(each, solution)
    assert other != solution
    (straight, first), (otherwise, second) = returned(home, each, solution), returned(home, each, other)
    assert first and second
    assert otherwise >= straight + STEP_COST * (len(other) - len(solution)) - 1e-5


def test_every_action_is_called_for_by_some_incident_or_only_looks() -> None:
    acts = {
        step.name
        for each in profiles()
        for split in each.splits
        for seed in range(4)
        for step in compile_incident(each.task, each.name, split=split, seed=seed).solution
    }
    assert {action.name for action in ACTIONS} - acts - LOOKS == set()
