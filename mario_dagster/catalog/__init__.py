"""The catalogue of tasks: `tasks()` and `task("temporal")`, with their tables, contracts and cards.

In: the task modules beside this file and the entry points `mario_dagster.tasks` of installed plugins. Out: frozen
values. Standard library only.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib import metadata

from .events import EVENTS
from .incremental import INCREMENTAL
from .ingestion import INGESTION
from .model import (
    FEEDBACKS,
    MAX_WORKERS,
    MIN_WORKERS,
    SPLITS,
    Card,
    Column,
    ColumnType,
    Feedback,
    Profile,
    Split,
    Table,
    Task,
    UnknownName,
    required_workers,
)
from .referential import REFERENTIAL
from .temporal import TEMPORAL

__all__ = [
    "FEEDBACKS",
    "MAX_WORKERS",
    "MIN_WORKERS",
    "SPLITS",
    "Card",
    "Column",
    "ColumnType",
    "Feedback",
    "Profile",
    "Split",
    "Table",
    "Task",
    "UnknownName",
    "required_workers",
    "task",
    "tasks",
]

ENTRY_POINT = "mario_dagster.tasks"
BUILT_IN: tuple[Task, ...] = (INGESTION, EVENTS, REFERENTIAL, INCREMENTAL, TEMPORAL)


@cache
def tasks() -> tuple[Task, ...]:
    """Every task, by id. A plugin that does not load, or takes what is taken, is left out with a warning."""
    found = {task.id: task for task in BUILT_IN}
    slugs = {task.slug: "mario_dagster" for task in BUILT_IN}
    for entry in metadata.entry_points(group=ENTRY_POINT):
        try:
            task = entry.load()
        except Exception as error:
            logging.getLogger(__name__).warning("task plugin '%s' did not load: %s", entry.value, error)
            continue
        if task.id in found or task.slug in slugs:
            owner = slugs.get(task.slug) or slugs[found[task.id].slug]
            logging.getLogger(__name__).warning(
                "task plugin '%s' wants id %s and name '%s', which '%s' has: left out",
                entry.value,
                task.id,
                task.slug,
                owner,
            )
            continue
        found[task.id], slugs[task.slug] = task, entry.value
    return tuple(found[key] for key in sorted(found))


def task(reference: object) -> Task:
    """The task that `reference` names: a `Task`, an id (`5`, `"5"`, `"task_5"`), a slug or an alias.

    Raises:
        UnknownName: there is none; the message lists the choices.
    """
    if isinstance(reference, Task):
        return reference
    wanted = str(reference).strip().lower()
    for candidate in tasks():
        if wanted in (str(candidate.id), f"task_{candidate.id}", candidate.slug, *candidate.aliases):
            return candidate
    raise UnknownName("task", reference, [name for each in tasks() for name in (each.slug, f"task_{each.id}")])
