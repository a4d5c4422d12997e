"""The registry of tasks: `tasks()` and `task("temporal")`, with their tables, contracts and cards.

In: the entry points `mario_dagster.tasks`, of this package and of any other alike. Out: frozen values. Standard library
only.
"""

from __future__ import annotations

from functools import cache

from .entry_points import TASKS, installed, left_out
from .errors import UnknownName
from .task import Task


@cache
def tasks() -> tuple[Task, ...]:
    """Every task, by id. A plugin that does not load, or takes what is taken, is left out with a warning."""
    found: dict[int, Task] = {}
    owners: dict[str, str] = {}
    for owner, each in installed(TASKS):
        if not isinstance(each, Task):
            left_out(TASKS, owner, f"it is a {type(each).__name__}, not a Task")
            continue
        names = _names(each)
        if taken := [name for name in names if name in owners]:
            left_out(TASKS, owner, f"task '{each.slug}' wants the name '{taken[0]}', which {owners[taken[0]]} has")
            continue
        found[each.id] = each
        owners |= dict.fromkeys(names, owner)
    return tuple(found[key] for key in sorted(found))


def _names(task: Task) -> tuple[str, ...]:
    """All that a task is asked for by."""
    return (task.slug, f"task_{task.id}", str(task.id), *task.aliases)


def task(reference: object) -> Task:
    """The task that `reference` names: a `Task`, an id (`5`, `"5"`, `"task_5"`), a slug or an alias.

    Raises:
        UnknownName: there is none; the message lists the choices.
    """
    if isinstance(reference, Task):
        return reference
    wanted = str(reference).strip().lower()
    for candidate in tasks():
        if wanted in _names(candidate):
            return candidate
    raise UnknownName("task", reference, [name for each in tasks() for name in (each.slug, f"task_{each.id}")])
