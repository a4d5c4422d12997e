"""The grade as an asset check: it runs in the commit job, with the vault beside the sandbox as its truth.

In: a world with a vault. Out: a check result with score, parts and threshold in its metadata. Where there is no vault
(`dagster dev` in a fresh checkout) there is nothing to grade, and it says so.
"""

import dagster as dg

from mario_dagster.assets.graph import key_of
from mario_dagster.assets.jobs import GRADE
from mario_dagster.checks.context import backlog
from mario_dagster.core.task import Task
from mario_dagster.scoring.truth import vault_of
from mario_dagster.tables.workspace import world_of

from .grading import grade_world


def grade_check(task: Task) -> dg.AssetChecksDefinition:
    """The grader of one task, on its main table."""

    @dg.asset_check(
        asset=key_of(task, task.main_table.name),
        name=GRADE,
        description=f"How near the pipeline is to one where nothing went wrong; {task.threshold} is success.",
    )
    def grade(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        world = world_of(context.instance, task.slug)
        vault = vault_of(world.root)
        if vault is None:
            return dg.AssetCheckResult(passed=True, description="no incident has struck here: nothing to grade")
        result = grade_world(world, task, vault, backlog(world, context.instance, task))
        return dg.AssetCheckResult(
            passed=result.score >= task.threshold,
            metadata={
                "score": round(result.score, 6),
                "threshold": task.threshold,
                "parts": dg.MetadataValue.json(dict(result.parts)),
                "tables": dg.MetadataValue.json(dict(result.tables)),
            },
        )

    return grade
