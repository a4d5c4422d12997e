"""The actions of one episode, fixed before it begins: a solution, and what a real player does besides.

In: a number and a seed. Out: a `Script`. It depends on nothing else, so that an episode that is disturbed can be held
against one that was left alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Split, Task
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.sandbox.template_cache import Recipe

Action = Mapping[str, Any]
# Two episodes in a row share an incident, so that one is made while the other, or their template, is.
PAIR = 2
# The incidents' families, in turn: drawn by the seed from train, from eval, and composed.
FAMILIES: tuple[tuple[Split, str | None], ...] = (("train", None), ("eval", None), ("train", "composed:medium"))
MOST_EXTRAS = 12
# One in so many commits long before it should.
RASH = 8
INSPECT, SAMPLE, FILL_FORWARD, COMMIT = 0, 2, 5, 15


@dataclass(frozen=True)
class Script:
    """One episode to be played: what it is reset with, and its actions in order."""

    id: str
    options: Mapping[str, Any]
    actions: tuple[Action, ...]

    @property
    def reset(self) -> dict[str, Any]:
        """The body of its `POST /reset`."""
        return {**self.options, "episode_id": self.id}


def scripts(number: int, seed: int) -> tuple[Script, ...]:
    """That many episodes, of all tasks in turn."""
    return tuple(_script(place, seed) for place in range(number))


def script(id: str, task: Task, *, profile: str | None, split: Split, seed: int, draw: str) -> Script:
    """The episode of one incident.

    Args:
        draw: names the random stream that its further actions come from.
    """
    recipe = Recipe.of(task.slug, profile=profile, split=split, seed=seed, scale=1)
    incident = compile_incident(task.slug, recipe.profile, split=split, seed=seed, salt=recipe.salt)
    solution = tuple(step.to_dict() for step in incident.solution)
    options = {"task": task.slug, "split": split, "seed": seed, "profile": recipe.profile}
    return Script(id, options, _actions(task, solution, random.Random(draw)))


def _script(place: int, seed: int) -> Script:
    pair = place // PAIR
    every = tasks()
    split, profile = FAMILIES[pair // len(every) % len(FAMILIES)]
    task = every[pair % len(every)]
    return script(
        f"chaos-{place:03d}", task, profile=profile, split=split, seed=seed + pair, draw=f"actions/{seed}/{place}"
    )


def _actions(task: Task, solution: Sequence[Action], draw: random.Random) -> tuple[Action, ...]:
    """A solution with further actions between its own, as many as the budget leaves."""
    found: list[Action] = list(solution)
    left = min(task.max_steps - len(solution), MOST_EXTRAS)
    extras = [_order_shows, *draw.choices(_EXTRAS, k=MOST_EXTRAS)]
    for extra in extras:
        place = draw.randrange(len(found))
        more = extra(task, _active(task, found[:place]), solution, draw)
        if len(more) <= left:
            found[place:place] = more
            left -= len(more)
    if draw.randrange(RASH) == 0:
        place = draw.randrange(len(found) // 2, len(found))
        found[place:] = [{"action_id": COMMIT}]
    return tuple(found)


def _active(task: Task, before: Sequence[Action]) -> str:
    """The table that is active after these actions."""
    looks = [each.get("target_column") for each in before if each["action_id"] == INSPECT]
    there = [name for name in looks if name in task.table_names]
    return str(there[-1]) if there else task.main_table.name


# --- what a player does besides ---------------------------------------------------------------------------------------

Extra = Callable[[Task, str, Sequence[Action], random.Random], list[Action]]


def _order_shows(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    """First rows, and a fill from the row before: both tell in which order a table is stored."""
    fill = {"action_id": FILL_FORWARD, "target_column": _column(task, active, solution, draw)}
    return [{"action_id": SAMPLE}, fill, {"action_id": SAMPLE}]


def _read(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    return [{"action_id": draw.choice((0, 1, 2))}]


def _elsewhere(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    """A look at another table, and back."""
    other = draw.choice(task.table_names)
    return [{"action_id": INSPECT, "target_column": name} for name in (other, active)]


def _repair(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    """A repair that may apply and need not be wise."""
    number = draw.choice((3, 4, 5, 9, 9, 10, 10, 11))
    return [{"action_id": number, **({} if number == 10 else {"target_column": _column(task, active, solution, draw)})}]


def _there_and_back(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    """A column renamed, and renamed back."""
    name, other = _column(task, active, solution, draw), f"swapped_{draw.randrange(100)}"
    return [
        {"action_id": 12, "target_column": name, "new_name": other},
        {"action_id": 12, "target_column": other, "new_name": name},
    ]


def _invalid(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    nonsense: tuple[Action, ...] = (
        {"action_id": 3, "target_column": "no_such_column"},
        {"action_id": 12, "target_column": _column(task, active, solution, draw), "new_name": "no name"},
        {"action_id": 13, "column_order": ["no_such_column"]},
        {"action_id": 7},
        {"action_id": INSPECT, "target_column": "no_such_table"},
    )
    return [draw.choice(nonsense)]


def _validate(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    return [{"action_id": 14}]


def _refresh(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    return [{"action_id": 19}]


def _replay(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    """A replay, which fails where workers are too few, or nothing is left to load."""
    return [{"action_id": 18}]


def _rescale(task: Task, active: str, solution: Sequence[Action], draw: random.Random) -> list[Action]:
    return [{"action_id": draw.choice((16, 17))}]


_EXTRAS: tuple[Extra, ...] = (
    _order_shows,
    _read,
    _elsewhere,
    _repair,
    _repair,
    _there_and_back,
    _invalid,
    _validate,
    _refresh,
    _replay,
    _rescale,
)


def _column(task: Task, table: str, solution: Sequence[Action], draw: random.Random) -> str:
    """A column that is there under its own name from the start, if any is."""
    names = task.table(table).column_names
    drifted = {each.get("new_name") for each in solution}
    return draw.choice([name for name in names if name not in drifted] or list(names))
