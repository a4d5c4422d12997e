"""Policies play what anyone could play: observations in, public actions out, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mario_dagster.bench import evaluate
from mario_dagster.core.action import ACTIONS, Action
from mario_dagster.env.environment import MarioEnvironment
from mario_dagster.env.models import MarioAction, MarioObservation
from mario_dagster.env.players import player
from mario_dagster.incidents.profiles import profiles
from mario_dagster.policies.heuristic import HeuristicPolicy, _culprits, _in_contract_order, _looks_garbled
from mario_dagster.policies.play import Played, Turn, play
from mario_dagster.policies.random import RandomPolicy

# What the heuristic may look at. Neither labels of the incident nor scores are among it.
SIGHTS = {
    "action_result",
    "available_actions",
    "check_failures",
    "column_alias_hints",
    "downstream_stale",
    "duplicate_rate",
    "format_issues",
    "metadata",
    "missing_rate",
    "observed_columns",
    "outlier_count",
    "pending_batches",
    "required_resource_level",
    "resource_level",
    "schema_report",
    "stage",
    "table_health",
    "time_budget_remaining",
}


class Blinkered(HeuristicPolicy):
    """The heuristic, unable to see anything but `SIGHTS`."""

    def choose(self, observation: Mapping[str, Any]) -> Action:
        return super().choose({name: observation[name] for name in SIGHTS})


@pytest.fixture
def environment() -> Iterator[MarioEnvironment]:
    environment = MarioEnvironment()
    yield environment
    environment.close()


def recover(environment: MarioEnvironment, policy: Any, split: str, profile: str, seed: int = 1) -> Played:
    return play(environment, policy, task="temporal", split=split, profile=profile, seed=seed)


@pytest.mark.parametrize(
    ("split", "profile"),
    [
        ("train", "temporal_rollup_backfill_incident"),
        ("train", "late_correction_backpressure_incident"),
        ("eval", "schema_evolution_backfill_recovery"),
    ],
)
def test_the_heuristic_recovers_from_what_its_signals_show(
    environment: MarioEnvironment, split: str, profile: str
) -> None:
    played = recover(environment, Blinkered(), split, profile)
    assert played.succeeded, (played.done_reason, [str(turn.move) for turn in played.turns])
    refused = [turn for turn in played.turns[1:] if str(turn.observation["action_result"]).startswith("invalid:")]
    assert not refused
    assert played.last.observation["current_score"] > played.turns[0].observation["current_score"]


def test_equal_episodes_are_played_alike_and_turns_are_told_as_they_happen(environment: MarioEnvironment) -> None:
    told: list[Turn] = []
    first = recover(environment, HeuristicPolicy(), "train", "schema_evolution_backfill_recovery")
    second = play(
        environment,
        HeuristicPolicy(),
        on_turn=told.append,
        task="temporal",
        split="train",
        profile="schema_evolution_backfill_recovery",
        seed=1,
    )
    assert [turn.move for turn in first.turns] == [turn.move for turn in second.turns]
    assert tuple(told) == second.turns
    assert second.steps == len(told) - 1
    assert second.total_reward == pytest.approx(first.total_reward)


def test_the_random_player_always_sends_what_the_wire_takes_and_rarely_what_helps(
    environment: MarioEnvironment,
) -> None:
    played = play(environment, player("random"), policy_seed=3, task="temporal", split="train", seed=1)
    assert played.last.done
    assert not played.succeeded
    observation = played.turns[0].observation
    for seed in range(200):
        policy = RandomPolicy()
        policy.begin(seed)
        MarioAction(**policy.choose(observation).to_dict())


def test_the_random_player_is_uniform_and_repeats_itself_from_a_seed() -> None:
    observation = MarioObservation(observed_columns=["a", "b"], table_health={"t": 1.0}).model_dump()

    def moves(seed: int) -> list[Action]:
        policy = RandomPolicy()
        policy.begin(seed)
        return [policy.choose(observation) for _ in range(400)]

    assert moves(1) == moves(1)
    assert moves(1) != moves(2)
    assert {move.id for move in moves(1)} == {action.id for action in ACTIONS}


def test_players_are_found_by_name() -> None:
    assert isinstance(player("heuristic"), HeuristicPolicy)
    assert isinstance(player("random"), RandomPolicy)


# --- how a sweep is told ----------------------------------------------------------------------------------------------


def played(split: str, held_out: bool, *successes: bool) -> list[evaluate.Played]:
    """Episodes of a made-up policy, for what is made of them."""
    cases = [
        evaluate.Case("some", "events", f"{split}_{held_out}", split, held_out, seed) for seed in range(len(successes))
    ]
    return [
        evaluate.Played(case, won, 0.99 if won else 0.5, 0.5 if won else -0.5, 4, "")
        for case, won in zip(cases, successes, strict=True)
    ]


def test_the_gap_is_that_of_train_to_held_out_and_eval_is_told_apart() -> None:
    train, held_out = played("train", False, True, True, True, False), played("eval", True, True, False)
    plays = [*train, *played("eval", False, False), *held_out]
    assert evaluate.gap(plays) == pytest.approx(0.25)
    assert evaluate.gap(train) is None and evaluate.gap(held_out) is None
    text = evaluate.markdown(plays, range(1, 3))
    line = (
        "3 of 4 (75%, 30 to 95), score 0.87 | 0 of 1 (0%, 0 to 79), score 0.50 "
        "| 1 of 2 (50%, 9 to 91), score 0.74 | +25% |"
    )
    assert f"| some | events | {line}" in text and f"| **some** | **all** | {line}" in text
    assert "--policy some --seeds 2 --first-seed 1 --markdown`" in text
    assert "| some | events | eval_True | held out | 50%, 9 to 91 | 0.745 |" in text


def test_a_sweep_plays_every_profile_that_seeds_draw_in_each_of_its_splits() -> None:
    wanted = evaluate.cases(["random"], ["temporal"], [1, 2])
    assert {(each.profile, each.split) for each in wanted} == {
        (each.name, split) for each in profiles("temporal") for split in each.splits
    }
    assert len(wanted) == len(set(wanted)) == 16


# --- how the heuristic reads ------------------------------------------------------------------------------------------


def failure(table: str, column: str, reason: str) -> dict[str, Any]:
    return {"check": f"{table}_are_right", "table": table, "column": column, "reason": reason, "count": 2}


def test_culprits_are_the_active_tables_own() -> None:
    seen = {
        "stage": "orders",
        "observed_columns": ["quantity", "event_ts", "check", "orders"],
        "check_failures": [
            failure("orders", "quantity", "outlier"),
            failure("orders", "event_ts", "wrong_type"),
            failure("catalog", "quantity", "out_of_range"),
            failure("orders", "quantity", "missing_value"),
            failure("orders", "gone", "missing_column"),
            failure("orders", "quantity", "outlier"),
            failure("orders", "", "no_rows"),
        ],
    }
    assert _culprits(seen) == [("quantity", "outlier"), ("event_ts", "wrong_type"), ("quantity", "missing_value")]


def test_columns_are_ordered_by_the_contract_with_strangers_last() -> None:
    inspected = "table t, 3 rows, key a\nb: int64, expected int64\ncontract order: a, b, c"
    assert _in_contract_order(["x", "c", "b", "y", "a"], inspected) == ("a", "b", "c", "x", "y")
    assert _in_contract_order(["x", "b"], "no schema here") == ("x", "b")


@pytest.mark.parametrize(
    ("text", "garbled"),
    [
        ("Café", False),
        ("CafÃ©", True),
        ("CafÃƒÂ©", True),
        ("Ölkanne", False),
        ("\u00c3\u2013lkanne", True),
        ("two  blanks", True),
    ],
)
def test_garbled_letters_are_told_from_letters_beyond_ascii(text: str, garbled: bool) -> None:
    import json

    assert _looks_garbled(json.dumps([{"name": "plain"}, {"name": text}]), "name") is garbled
