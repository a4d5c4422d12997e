"""The score: a task's objectives, weighed.

In: tables as stored, the truth, the state of backlog, freshness and pool. Out: a `Grade`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mario_dagster.core.errors import BrokenTask
from mario_dagster.core.task import Task

from .compare import PipelineState, Truth, table_score
from .objectives import Found, objectives


@dataclass(frozen=True)
class Grade:
    """A score with its parts.

    Args:
        score: 0 to 1, raw: what success is decided on.
        parts: the task's objectives, 0 to 1 each; weighted they add up to the score.
        tables: table -> its own score.
    """

    score: float
    parts: Mapping[str, float]
    tables: Mapping[str, float]

    @property
    def shown(self) -> float:
        """The score as players see it: clamped to 0.01 to 0.99, four decimals."""
        return round(min(0.99, max(0.01, self.score)), 4)


def grade(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    truth: Truth,
    state: PipelineState,
    scores: Mapping[str, float] | None = None,
) -> Grade:
    """Score a task's tables and state against the truth.

    Args:
        scores: the tables' own scores, where the caller has them.

    Raises:
        BrokenTask: what computes its objectives does not load, or gives other parts than the task weighs.
    """
    scores = scores or table_scores(task, tables, truth)
    parts = objectives(task)(Found(task, tables, truth, state, scores))
    if set(parts) != set(task.objective_weights):
        raise BrokenTask(
            task.slug, f"its objectives are {', '.join(parts)}, and it weighs {', '.join(task.objective_weights)}"
        )
    total = sum(task.objective_weights[name] * value for name, value in parts.items())
    return Grade(float(total), {name: float(value) for name, value in parts.items()}, scores)


def table_scores(task: Task, tables: Mapping[str, pd.DataFrame], truth: Truth) -> dict[str, float]:
    """Each table's own score."""
    return {
        table.name: table_score(
            table, tables.get(table.name), truth.tables[table.name], truth.lost.get(table.name, frozenset())
        )
        for table in task.tables
    }
