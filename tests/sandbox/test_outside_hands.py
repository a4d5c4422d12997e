"""The proof that it is real: what stock Dagster tools do from another process is what the agent sees next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def episode(tmp_path: Path) -> Episode:
    return Episode.start(reset_options({"task": "temporal", "seed": 4}), home=Home(tmp_path))


def dagster(episode: Episode, *words: str) -> str:
    """Run the stock `dagster` command line on the episode's Dagster home, in a process of its own."""
    root = episode.sandbox.root
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), *words],
        env={**os.environ, "DAGSTER_HOME": str(root / "dagster"), "PYTHONWARNINGS": "ignore"},
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_a_pool_limit_set_by_hand_changes_the_next_observation(episode: Episode) -> None:
    assert episode.reply().observation["resource_level"] == 1
    dagster(episode, "instance", "concurrency", "set", "recovery_workers", "3")
    seen = episode.reply().observation
    assert seen["resource_level"] == 3
    replayed = episode.step(Action(18)).observation
    assert replayed["action_result"].startswith("loaded ")
    assert replayed["pending_batches"] == seen["pending_batches"] - 1
    episode.close()


def test_a_rollup_materialized_by_hand_is_fresh_in_the_next_observation(episode: Episode) -> None:
    moves = [Action.from_dict(each) for each in episode.sandbox.truth_store.solution]
    refresh = next(place for place, move in enumerate(moves) if move.id == 19)
    for move in moves[:refresh]:
        episode.step(move)
    before = episode.reply().observation
    assert before["downstream_stale"] and not before["commit_ready"]
    assert before["freshness_lag_minutes"] > 0

    dagster(episode, "asset", "materialize", "-m", "mario_dagster.definitions", "--select", "temporal/hourly_rollup")

    after = episode.reply().observation
    assert not after["downstream_stale"] and after["commit_ready"]
    assert after["freshness_lag_minutes"] == 0
    assert after["steps_taken"] == before["steps_taken"]
    ended = episode.step(Action(15)).observation
    assert ended["done"] and ended["done_reason"] == "commit_success"
    episode.close()
