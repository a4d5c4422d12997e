"""How far damage could get: along Dagster's own asset graph, from what was struck.

In: what was struck, the tables beside the reference as they were then. Out: `Reached`, nearest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster import AssetKey

from mario_dagster import definitions
from mario_dagster.core.task import Task

from .model import Compared, Reached, Struck


def reached_from(task: Task, struck: Sequence[Struck], at_strike: Mapping[str, Compared]) -> tuple[Reached, ...]:
    """Every asset of the task that is downstream of what was struck, and that itself, by the shortest way."""
    graph = definitions.asset_graph()
    paths: dict[str, tuple[str, ...]] = {
        name: (name,) for name in dict.fromkeys(_source(task, each) for each in struck)
    }
    level = list(paths)
    while level:
        below: list[str] = []
        for name in level:
            key = AssetKey([task.slug, name])
            for child in sorted(key.path[-1] for key in graph.get(key).child_keys if key.path[0] == task.slug):
                if child not in paths:
                    paths[child] = (*paths[name], child)
                    below.append(child)
        level = below
    return tuple(Reached(name, path, at_strike.get(name)) for name, path in paths.items())


def _source(task: Task, struck: Struck) -> str:
    """The asset that the damage came in by: what landed, or the table whose code was struck."""
    table = task.table(struck.table)
    return table.name if table.feed is None else f"landed_{table.feed}"
