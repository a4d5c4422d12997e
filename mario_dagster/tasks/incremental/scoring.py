"""Task 4's parts of the score: quality, freshness, backlog, resources, and a summary that adds up.

In: all that a score is made of. Out: the task's objectives by name, each 0 to 1.
"""

from __future__ import annotations

from mario_dagster.scoring.objectives import Scored, backfill


def objectives(found: Scored) -> dict[str, float]:
    """Task 4's parts of the score, each 0 to 1."""
    state, scores = found.state, found.scores
    fresh = found.task.freshness.left(state.lag_minutes)
    short = state.pending > 0 and state.workers < state.required_workers
    surplus = max(0, state.workers - state.required_workers)
    return {
        "data_quality": (0.4 * scores["orders"] + 0.2 * scores["products"] + 0.2 * scores["daily_summary"]) / 0.8,
        "freshness": fresh / 2 if state.stale else fresh,
        "backlog": backfill(state),
        "resources": 0.2 if short else max(0.6, 1.0 - 0.15 * surplus),
        "summary_consistency": found.same_rows("daily_summary"),
    }
