"""The grade as an asset check: it runs in the commit job, with the truth store beside the sandbox as its truth.

In: a workspace with a truth store. Out: a check result with score, parts and threshold in its metadata. Where there is
no truth store (`dagster dev` in a fresh checkout) there is nothing to grade, and it says so.
"""

import dagster as dg

from mario_dagster.assets.graph import key_of
from mario_dagster.assets.jobs import GRADE
from mario_dagster.checks.context import backlog
from mario_dagster.core.run_tags import ACTOR, AGENT
from mario_dagster.core.task import Task
from mario_dagster.scoring.truth import truth_store_of
from mario_dagster.tables.workspace import workspace_of

from .grading import grade_world


def grade_check(task: Task) -> dg.AssetChecksDefinition:
    """The grader of one task, on its main table."""

    @dg.asset_check(
        asset=key_of(task, task.main_table.name),
        name=GRADE,
        description=f"How near the pipeline is to one where nothing went wrong; {task.threshold} is success.",
    )
    def grade(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        workspace = workspace_of(context.instance, task.slug)
        truth_store = truth_store_of(workspace.root)
        if truth_store is None:
            return dg.AssetCheckResult(passed=True, description="no incident has struck here: nothing to grade")
        if context.run.tags.get(ACTOR) != AGENT:
            return dg.AssetCheckResult(passed=True, description="the episode is graded when it ends")
        result = grade_world(workspace, task, truth_store, backlog(workspace, context.instance, task))
        return dg.AssetCheckResult(
            passed=result.score >= task.threshold,
            metadata={
                "score": round(result.score, 6),
                "threshold": task.threshold,
                "parts": dg.MetadataValue.json(dict(result.parts)),
                "tables": dg.MetadataValue.json(dict(result.tables)),
                "guessed_cells": result.guessed,
            },
        )

    return grade
