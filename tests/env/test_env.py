"""The game by itself: words and actions, and episodes played on real sandboxes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_dagster.core.action import Action
from mario_dagster.core.registry import task, tasks
from mario_dagster.core.task import Freshness
from mario_dagster.engine.snapshot import mark
from mario_dagster.env import players, reward
from mario_dagster.env.episode import Episode
from mario_dagster.env.episode_state import episode_state
from mario_dagster.env.errors import BadRequest, EpisodeExists, NoEpisode, NoPlayer
from mario_dagster.env.observation import UNDISCLOSED, observe, pressure, text
from mario_dagster.env.options import reset_options
from mario_dagster.env.sample import sample_text
from mario_dagster.sandbox.home import Home
from mario_dagster.sandbox.sandbox import Sandbox

REPO = Path(__file__).resolve().parents[2]
TRAIN_SEED, EVAL_SEED = 7, 11
HELD_OUT = "heldout_temporal_rollup_contract_family"


# --- derived words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lag", "age", "word"),
    [
        (0, 0, "none"),
        (1, 0, "elevated"),
        (0, 1, "elevated"),
        (90, 0, "high"),
        (0, 180, "high"),
        (180, 0, "critical"),
        (0, 300, "critical"),
    ],
)
def test_severity_follows_lag_and_age(lag: float, age: float, word: str) -> None:
    assert Freshness().severity(lag, age) == word


@given(st.integers(0, 10**9), st.integers(0, 3))
def test_pressure_is_a_share_that_more_workers_ease(rows: int, workers: int) -> None:
    assert 0 <= pressure(rows, workers + 1) <= pressure(rows, workers) <= 1


@given(st.text())
def test_text_can_always_be_sent(value: str) -> None:
    json.dumps(text(value), ensure_ascii=False).encode()
    json.dumps(text(value + "\ud800"), ensure_ascii=False).encode()


# --- episodes on real sandboxes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def begin(home: Home, **options: Any) -> Episode:
    return Episode.start(reset_options({"task": "temporal", "seed": TRAIN_SEED, **options}), home=home)


@pytest.fixture
def episode(home: Home) -> Iterator[Episode]:
    episode = begin(home)
    yield episode
    episode.close()


def solution(episode: Episode) -> list[Action]:
    return [Action.from_dict(step) for step in episode.sandbox.truth_store.solution]


def as_bytes(fields: Any) -> bytes:
    return json.dumps(fields, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("slug", "split"), [*((each.slug, "train") for each in tasks()), ("temporal", "eval")], ids=lambda each: str(each)
)
def test_the_gold_plan_played_through_the_actions_wins(home: Home, slug: str, split: str) -> None:
    episode = begin(home, task=slug, split=split, seed=EVAL_SEED)
    total, reply = 0.0, episode.reply()
    for move in solution(episode):
        reply = episode.step(move)
        total += reply.reward or 0.0
        assert not reply.observation["action_result"].startswith("invalid"), (move, reply.observation["action_result"])
    summary, subgoals = episode.summary(), task(slug).subgoals
    assert (reply.done, summary["done_reason"], summary["success"]) == (True, "commit_success", True)
    assert episode.episode_state().score >= 0.999
    assert summary["return"] == pytest.approx(total, abs=1e-6)
    assert reply.observation["subgoal_progress"] == dict.fromkeys(subgoals, True)
    assert reply.observation["reward_machine_state"] == (f"s{len(subgoals)}/{len(subgoals)}:done" if subgoals else "")
    assert reply.observation["failing_checks"] == []
    assert summary["minutes_to_recover"] == sum(move.spec.minutes for move in solution(episode))
    episode.close()


def test_an_open_incident_looks_like_one(episode: Episode) -> None:
    seen = episode.reply().observation
    assert seen["reward"] is None and not seen["done"]
    assert not seen["commit_ready"] and seen["failing_checks"] and seen["recent_errors"]
    assert seen["pending_batches"] > 0 and seen["backlog_rows"] > 0 and seen["downstream_stale"]
    assert seen["resource_level"] < seen["required_resource_level"]
    assert seen["sla_severity"] != "none" and 0 < seen["workload_pressure"] < 1
    assert seen["stage"] == "source_orders" and seen["active_subgoal"]
    assert seen["time_budget_remaining"] == 35 and seen["available_actions"] == list(range(20))


def test_doing_nothing_and_committing_fails_and_pays_for_it(episode: Episode) -> None:
    reply = episode.step(Action(15))
    assert (reply.done, reply.observation["done_reason"]) == (True, "commit_failure")
    assert reply.observation["reward_breakdown"]["failure"] == -0.45
    assert reply.observation["reward_breakdown"]["premature_commit"] == -0.25
    assert reply.observation["action_result"].startswith("failed: not published")


def test_a_step_after_done_changes_nothing(episode: Episode) -> None:
    last = episode.step(Action(15))
    before = (episode.sandbox.signals(), episode.state(), len(episode.sandbox.steps), episode.summary())
    for move in (Action(15), Action(18), Action(3, "quantity"), Action(0)):
        reply = episode.step(move)
        assert reply.done and reply.reward == 0
        assert reply.observation["action_result"].startswith("invalid: the episode is over (commit_failure)")
        changed = {name for name, value in reply.observation.items() if value != last.observation[name]}
        assert changed <= {"action_result", "reward", "reward_breakdown"}
    assert before == (episode.sandbox.signals(), episode.state(), len(episode.sandbox.steps), episode.summary())


MOVES = [
    Action(0),
    Action(1),
    Action(2),
    Action(0, "catalog"),
    Action(12, "nope", "x"),
    Action(10),
    Action(16),
    Action(18),
    Action(19),
]


def told(home: Home, moves: list[Action]) -> list[str]:
    """Everything a player is told in an episode, as it would be sent."""
    episode = begin(home, split="eval")
    replies = [as_bytes(episode.reply().observation), *(as_bytes(episode.step(move).observation) for move in moves)]
    episode.close()
    return [reply.decode() for reply in replies]


def test_equal_histories_give_equal_bytes(home: Home) -> None:
    assert told(home, MOVES) == told(home, MOVES)


def test_another_process_tells_the_same_from_scratch(home: Home, tmp_path: Path) -> None:
    script = (
        "import json, pathlib, sys; import tests.env.test_env as t;"
        "print(json.dumps(t.told(t.Home(pathlib.Path(sys.argv[1])), t.MOVES)))"
    )
    # Sets and dictionaries of another hash seed, and no template to clone.
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == told(home, MOVES)


def test_an_episode_goes_on_after_a_restart_as_if_there_had_been_none(home: Home) -> None:
    straight, broken = begin(home), begin(home)
    id, moves = broken.id, solution(straight)
    for number, move in enumerate(moves):
        expected = straight.step(move)
        broken.step(move)
        if number % 7 == 0:
            broken.close()
            broken = Episode.resume(id, home)
        assert as_bytes(broken.reply().observation) == as_bytes(expected.observation)
    ignore = {"episode_id"}
    states = [{k: v for k, v in each.state().items() if k not in ignore} for each in (straight, broken)]
    assert states[0] == states[1]
    straight.close()
    broken.close()


def test_the_step_budget_truncates(episode: Episode) -> None:
    for number in range(35):
        reply = episode.step(Action(number % 3))
        assert reply.done is (number == 34)
    assert reply.observation["truncated"] and reply.observation["done_reason"] == "step_budget_exhausted"
    assert reply.observation["reward_breakdown"]["failure"] == -0.45
    assert reply.observation["time_budget_remaining"] == 0


def test_streaks_count_the_same_action_with_the_same_arguments(episode: Episode) -> None:
    for streak in range(1, 6):
        seen = episode.step(Action(1)).observation
        assert seen["repeated_action_streak"] == streak
        assert seen["repeated_action_tripwire"] is (streak > 3)
        assert seen["reward_breakdown"]["repetition"] == pytest.approx(-0.01 * max(0, streak - 3))
    assert episode.step(Action(0, "catalog")).observation["repeated_action_streak"] == 1
    assert episode.step(Action(0, "hourly_rollup")).observation["repeated_action_streak"] == 1


def test_a_repeat_that_loads_a_batch_is_work_and_costs_nothing(home: Home) -> None:
    episode = begin(home, task="incremental", seed=TRAIN_SEED)
    for _ in range(2):
        episode.step(Action(16))
    waiting = len(episode.sandbox.backlog().pending)
    assert waiting >= 9
    for number in range(1, waiting + 1):
        seen = episode.step(Action(18)).observation
        assert seen["repeated_action_streak"] == number and seen["pending_batches"] == waiting - number
        assert not seen["repeated_action_tripwire"] and seen["reward_breakdown"]["repetition"] == 0
    # From here on there is nothing to load: the same action does nothing, and counts from the first time that it does.
    for idle in range(1, 6):
        seen = episode.step(Action(18)).observation
        assert seen["repeated_action_streak"] == waiting + idle
        assert seen["repeated_action_tripwire"] is (idle > 3)
        assert seen["reward_breakdown"]["repetition"] == pytest.approx(-0.01 * max(0, idle - 3))
    episode.close()


def test_a_repair_made_again_on_what_it_made_is_charged(episode: Episode) -> None:
    for number in range(1, 6):
        seen = episode.step(Action(10)).observation
        assert seen["reward_breakdown"]["repetition"] == pytest.approx(-0.01 * max(0, number - 1 - 3))
    assert seen["repeated_action_tripwire"] and seen["repeated_action_streak"] == 5


INVALID = [
    (Action(0, "nope"), "source_orders"),
    (Action(3), "needs target_column"),
    (Action(3, "no_such_column"), "no_such_column"),
    (Action(12, "order_id"), "needs new_name"),
    (Action(12, "order_id", "batch_id"), "batch_id"),
    (Action(12, "order_id", "../../etc"), ""),
    (Action(13), "needs column_order"),
    (Action(13, column_order=("order_id",)), ""),
    (Action(13, column_order=("order_id",) * 6), ""),
    (Action(17), "1 to 3 slots"),
    (Action(3, "x" * 128), ""),
    pytest.param(Action(9, "\ud800"), "", id="half a character"),
]


@pytest.mark.parametrize(("move", "says"), INVALID, ids=lambda each: str(each)[:40])
def test_a_wrong_action_changes_nothing_and_says_what_would_be_right(episode: Episode, move: Action, says: str) -> None:
    before, marks = episode.sandbox.signals(), mark(episode.sandbox.pipeline)
    seen = episode.step(move).observation
    assert seen["action_result"].startswith("invalid: ") and says in seen["action_result"]
    assert seen["reward_breakdown"]["invalid_action"] == -0.06
    assert seen["steps_taken"] == 1 and not seen["done"]
    assert (episode.sandbox.signals(), mark(episode.sandbox.pipeline)) == (before, marks)
    as_bytes(seen).decode()


def test_replay_without_enough_workers_is_a_failed_run(episode: Episode) -> None:
    before = episode.reply().observation
    seen = episode.step(Action(18)).observation
    assert seen["action_result"].startswith("failed: ")
    assert seen["pending_batches"] == before["pending_batches"]
    assert sum(seen["recent_failure_counters"].values()) > sum(before["recent_failure_counters"].values())
    assert seen["reward_breakdown"]["invalid_action"] == 0


def test_reading_makes_no_run(episode: Episode) -> None:
    runs = episode.sandbox.instance.get_runs_count()
    for move in (Action(0), Action(0, "catalog"), Action(1), Action(2)):
        assert not episode.step(move).observation["action_result"].startswith(("invalid", "failed"))
    assert episode.sandbox.instance.get_runs_count() == runs


def test_acts_are_runs_with_the_agents_tags(episode: Episode) -> None:
    episode.step(Action(10))
    run = episode.sandbox.instance.get_runs(limit=1)[0]
    wanted = {
        "mario/episode": episode.id,
        "mario/step": "1",
        "mario/action": "remove_duplicates",
        "mario/actor": "agent",
    }
    assert wanted.items() <= run.tags.items()


def test_a_sample_is_five_rows_of_json(episode: Episode) -> None:
    rows = json.loads(episode.step(Action(2)).observation["action_result"])
    assert len(rows) == 5
    assert list(rows[0]) == episode.reply().observation["observed_columns"]
    assert json.loads(sample_text(episode.sandbox.table("hourly_rollup")))


def test_what_someone_else_does_to_the_instance_is_in_the_next_observation(episode: Episode) -> None:
    assert episode.reply().observation["resource_level"] == 1
    with Sandbox.open(episode.id, Home(episode.sandbox.root.parent)) as other:
        other.instance.event_log_storage.set_concurrency_slots("recovery_workers", 3)
        pending = len(other.signals().pending_batches)
        assert other.replay().ok
    seen = episode.reply().observation
    assert (seen["resource_level"], seen["pending_batches"]) == (3, pending - 1)


def test_labels_of_the_incident_stay_undisclosed_in_eval_until_done(home: Home) -> None:
    labels = ("scenario_profile", "heldout_profile_family")
    episode = begin(home, split="eval", profile=HELD_OUT, seed=EVAL_SEED)
    seen, state = episode.step(Action(0)).observation, episode.state()
    assert [seen[name] for name in labels] == [state[name] for name in labels] == [UNDISCLOSED] * 2
    assert seen["open_world_patterns"] == [UNDISCLOSED]
    assert "heldout" not in as_bytes(seen).decode().replace('"heldout_profile_family"', "")
    assert "heldout" not in as_bytes(state).decode().replace('"heldout_profile_family"', "")
    assert seen["objective_breakdown"].keys() == {"health"} and state["feedback"] == "checks"
    done, state = episode.step(Action(15)).observation, episode.state()
    assert [done[name] for name in labels] == [state[name] for name in labels] == [HELD_OUT] * 2
    assert done["objective_breakdown"].keys() == task("temporal").objective_weights.keys()
    assert done["current_score"] == episode.summary()["score"] == reward.shown(episode.sandbox.grade().score)
    episode.close()


def test_train_labels_are_shown(episode: Episode) -> None:
    seen = episode.reply().observation
    assert seen["scenario_profile"] == episode.sandbox.profile
    assert seen["heldout_profile_family"] == ""


def test_checks_feedback_never_shows_the_truth_before_the_end(home: Home) -> None:
    episode = begin(home, feedback="checks")
    for move in solution(episode)[:8]:
        seen = episode.step(move).observation
        assert seen["current_score"] == reward.shown(episode.sandbox.health())
        assert episode.summary()["score"] == seen["current_score"] and episode.summary()["feedback"] == "checks"
        assert not episode.summary()["table_scores"]
    episode.close()


def test_truth_feedback_pays_the_change_in_the_true_score(episode: Episode) -> None:
    score = episode.sandbox.grade().score
    for move in solution(episode)[:10]:
        paid = episode.step(move).observation["reward_breakdown"]["score_change"]
        now = episode.sandbox.grade().score
        assert paid == pytest.approx(0.9 * (now - score), abs=2e-6)
        score = now


def test_an_installed_policy_can_be_asked_to_play(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIO_HOME", str(home.root))
    entry = metadata.EntryPoint("random", "mario_dagster.policies.random:RandomPolicy", players.GROUP)
    monkeypatch.setattr(players.metadata, "entry_points", lambda group: [entry])
    played = players.play("random", reset_options({"task": "temporal", "seed": TRAIN_SEED}))
    assert played["finished"] and played["policy"] == "random" and played["steps"] <= 35
    with pytest.raises(NoPlayer, match="installed: random"):
        players.player("heuristics")


def test_an_id_is_played_once(home: Home) -> None:
    begin(home, episode_id="once").close()
    with pytest.raises(EpisodeExists, match="'once' exists"):
        begin(home, episode_id="once")


def test_an_unknown_episode_is_refused_without_naming_others(home: Home) -> None:
    begin(home, episode_id="somebody-elses").close()
    with pytest.raises(NoEpisode) as refusal:
        Episode.resume("somebody-else", home)
    assert "somebody-elses" not in str(refusal.value)


def test_an_unknown_profile_is_a_bad_request(home: Home) -> None:
    with pytest.raises(BadRequest, match="no profile"):
        begin(home, profile="nothing_like_it")
    with pytest.raises(BadRequest, match="no profile"):
        begin(home, profile=HELD_OUT, split="train")


def test_the_fold_of_the_lines_is_all_there_is(episode: Episode) -> None:
    for move in (Action(0, "catalog"), Action(0, "catalog"), Action(3)):
        episode.step(move)
    now = episode_state(json.loads(json.dumps(episode.sandbox.steps)))
    assert (now.steps, now.active_table, now.streak, now.last_action_id) == (3, "catalog", 1, 3)
    assert now == episode.episode_state()
    trajectory = (Path(episode.sandbox.root) / "trajectory.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in trajectory] == json.loads(json.dumps(episode.sandbox.steps))


def test_an_observation_reads_nothing_but_its_view(episode: Episode) -> None:
    view = episode._view(episode.episode_state())
    assert as_bytes(observe(view)) == as_bytes(observe(view)) == as_bytes(episode.reply().observation)
