"""The score: a task's objectives, weighed.

In: tables as stored, the truth, the state of backlog, freshness and pool. Out: a `Grade`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mario_dagster.core.errors import BrokenTask
from mario_dagster.core.task import Task

from .compare import PipelineState, Truth
from .objectives import Scored, objectives


@dataclass(frozen=True)
class Grade:
    """A score with its parts.

    Args:
        score: 0 to 1, raw: what success is decided on.
        parts: the task's objectives, 0 to 1 each; weighted they add up to the score.
        tables: table -> its own score.
        guessed: cells whose value is nowhere any more and that hold one again: no part of the score.
    """

    score: float
    parts: Mapping[str, float]
    tables: Mapping[str, float]
    guessed: int = 0

    @property
    def shown(self) -> float:
        """The score as players see it: clamped to 0.01 to 0.99, four decimals."""
        return round(min(0.99, max(0.01, self.score)), 4)


def grade(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    versions: Mapping[str, str] = {},
) -> Grade:
    """Score a task's tables and state against the truth.

    Args:
        versions: table -> what names its content, where the caller knows.

    Raises:
        BrokenTask: what computes its objectives does not load, or gives other parts than the task weighs.
    """
    found = Scored(task, tables, truth, state, versions)
    parts = objectives(task)(found)
    if set(parts) != set(task.objective_weights):
        raise BrokenTask(
            task.slug, f"its objectives are {', '.join(parts)}, and it weighs {', '.join(task.objective_weights)}"
        )
    total = sum(task.objective_weights[name] * value for name, value in parts.items())
    return Grade(float(total), {name: float(value) for name, value in parts.items()}, found.scores, found.guessed)
