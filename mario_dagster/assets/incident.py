"""The incident as an asset: a page in the UI that says what is wrong and what could be done, as it stands.

In: a task. Out: an asset that no run materializes: whoever plays reports it after each step, with the page and the
numbers that the UI plots. In a UI that is served with a sandbox the description is that page; in any other it stands
with the asset's newest event.
"""

import dagster as dg

from mario_dagster.core.task import Task

from .graph import OWNERS

NAME = "incident"
# Where the page goes in the description. Shown as nothing by whoever does not fill it in.
PAGE_MARKER = "<!-- the incident as it stands -->"
PAGE = "page"


def incident_key(task: Task) -> dg.AssetKey:
    return dg.AssetKey([task.slug, NAME])


def incident_asset(task: Task) -> dg.AssetSpec:
    """The page of one task's incident. It feeds nothing: what is computed depends on tables alone."""
    return dg.AssetSpec(
        incident_key(task),
        group_name=task.slug,
        owners=OWNERS,
        kinds={"markdown"},
        description=(
            f"{PAGE_MARKER}\n\n---\n{task.card.incident_type}: {task.card.objective}\n\n"
            "Its newest event has the page as `page`; its plots show score, rows at fault, failing checks, backlog and "
            "lag, one point for each step that changed something."
        ),
    )
