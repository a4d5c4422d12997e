"""What the benchmark says of itself: tasks, weights, profiles and budgets as JSON.

In: the catalogue, the profiles, and files that the benchmark has written. Out: plain values for the `/tasks` and
`/benchmark` routes. Nothing here knows an episode.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mario_dagster import __version__
from mario_dagster.core.action import ACTIONS, available
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import FEEDBACKS, SPLITS, Task
from mario_dagster.env import reward
from mario_dagster.env.options import MAX_SCALE, MAX_SEED

RUNS, ADAPTATION = "benchmark_runs.json", "adaptation_report.json"
LIMITATIONS = (
    "Rows are generated; no real warehouse is behind them.",
    "Minutes are modelled: an action takes what it would take the person on call, not what it took here.",
)


def task_card(task: Task, base_url: str = "") -> dict[str, Any]:
    """One task as `GET /tasks` lists it, with where its grader answers and what only asking by name starts."""
    grader = f"/grade/{task.slug}"
    return {
        "id": f"task_{task.id}",
        "task_id": task.id,
        "slug": task.slug,
        "name": task.name,
        "difficulty": task.difficulty,
        "description": task.description,
        "max_steps": task.max_steps,
        "success_threshold": task.threshold,
        "aliases": list(task.aliases),
        "tables": {table.name: list(table.column_names) for table in task.tables},
        "available_actions": available(task),
        "profiles_by_name_only": by_name_only(task),
        "grader": grader,
        "grader_url": f"{base_url}{grader}",
        "graders": [{"method": method, "path": grader, "url": f"{base_url}{grader}"} for method in ("GET", "POST")],
    }


def incident_card(task: Task) -> dict[str, Any]:
    """A task's incident card, score weights and subgoals."""
    return {
        **asdict(task.card),
        "success_threshold": task.threshold,
        "freshness_window_minutes": task.freshness.window,
        "objective_weights": dict(task.objective_weights),
        "key_subgoals": list(task.subgoals),
    }


def benchmark_tasks() -> dict[str, Any]:
    return {task.slug: {**task_card(task), "card": incident_card(task)} for task in tasks()}


def benchmark_profiles() -> dict[str, Any]:
    """The names of every task's profiles: by split those that seeds draw, and those that have to be asked for.

    Which one an episode is, is another matter.
    """
    from mario_dagster.incidents.profiles import profiles

    return {
        task.slug: {
            **{split: {each.name: each.summary for each in profiles(task=task.slug, split=split)} for split in SPLITS},
            "by_name_only": by_name_only(task),
        }
        for task in tasks()
    }


def by_name_only(task: Task) -> dict[str, str]:
    """Profiles of a task that no seed draws, with their summaries; those composed for a difficulty among them."""
    from mario_dagster.incidents.compose import LEVELS, PREFIX
    from mario_dagster.incidents.profiles import profile, profiles

    composed = [profile(f"{PREFIX}{level}") for level in LEVELS]
    return {each.name: each.summary for each in (*profiles(task, by_name_only=True), *composed)}


def benchmark_metadata() -> dict[str, Any]:
    return {
        "name": "mario_dagster",
        "version": __version__,
        "tasks": benchmark_tasks(),
        "profiles": benchmark_profiles(),
        "splits": list(SPLITS),
        "feedbacks": list(FEEDBACKS),
        "seeds": {"minimum": 0, "maximum": MAX_SEED},
        "scales": {"minimum": 1, "maximum": MAX_SCALE},
        "actions": [
            {"id": a.id, "name": a.name, "summary": a.summary, "needs": list(a.needs), "minutes": a.minutes}
            for a in ACTIONS
        ],
        "reward": {
            "range": list(reward.REWARD_RANGE),
            "score_weight": reward.SCORE_WEIGHT,
            "step_cost": reward.STEP_COST,
            "invalid_action": reward.INVALID_ACTION,
            "premature_commit": reward.PREMATURE_COMMIT,
            "repeat": reward.REPEAT,
            "success": reward.SUCCESS,
            "gain_cap": reward.GAIN_CAP,
            "failure": reward.FAILURE,
        },
        "limitations": list(LIMITATIONS),
    }


def artifact(folder: Path, name: str) -> dict[str, Any]:
    """A file that the benchmark wrote last; `available: false` where it has written none."""
    try:
        return {"available": True, "report": json.loads((folder / name).read_text())}
    except (OSError, ValueError):
        return {"available": False, "hint": f"no {name} in the benchmark folder yet; `mario bench` writes it"}
