"""Other ways to play a solution: as right as the compiler's own, in another order.

In: a task and its solution. Out: the same actions with independent neighbours swapped, and a look before the start; or
with the waiting after them that holding back takes. A benchmark that only accepts the order its author thought of would
not be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, groupby, islice, pairwise

from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.task import Task

INSPECT, RENAME, VALIDATE = ActionId.INSPECT_SCHEMA, ActionId.RENAME_COLUMN, ActionId.VALIDATE_SCHEMA
COMMIT, SCALE_UP = ActionId.COMMIT_CHANGES, ActionId.SCALE_RECOVERY_WORKERS_UP
REFRESH = ActionId.REFRESH_DOWNSTREAM_ASSETS
CASTS = (7, 8, 9)
LOG, SAMPLE = ActionId.VIEW_ERROR_LOG, ActionId.SAMPLE_DATA


def other_order(task: Task, solution: Sequence[Action]) -> tuple[Action, ...]:
    """The same moves in another order that must do as well, at most as many as the task's budget.

    Renames of different columns may swap, casts of different columns may swap, workers may be added first, and tables
    may be taken in any order. Equal to the solution only where nothing of that applies and the budget leaves no look.
    """
    main, others, tail = sections(solution)
    first = [move for move in main if move.id == SCALE_UP]
    main = [*first, *_swapped([move for move in main if move.id != SCALE_UP])]
    others = [_swapped(section) for section in reversed(others)]
    rest = [move for section in others for move in section]
    look = Action(INSPECT, target_column=task.main_table.name)
    if len(solution) < task.max_steps:
        return (*rest, look, *main, *tail)
    return (*main, *rest, *tail)


def to_the_end(task: Task, solution: Sequence[Action]) -> tuple[Action, ...]:
    """The solution to the end of the episode: a plan that publishes nothing waits, and looks in turn, meanwhile."""
    if solution and solution[-1].id == COMMIT:
        return tuple(solution)
    looks = cycle((Action(LOG), Action(SAMPLE), Action(INSPECT)))
    return (*solution, *islice(looks, max(0, task.max_steps - len(solution))))


def sections(solution: Sequence[Action]) -> tuple[list[Action], list[list[Action]], list[Action]]:
    """The main table's moves, each other table's (its `inspect_schema` first), and what follows them all."""
    end = next((place for place, move in enumerate(solution) if move.id in (REFRESH, COMMIT)), len(solution))
    starts = [place for place, move in enumerate(solution[:end]) if move.id == INSPECT and move.target_column]
    bounds = [*starts, end]
    others = [list(solution[begin:until]) for begin, until in pairwise(bounds)]
    return list(solution[: bounds[0]]), others, list(solution[end:])


def _swapped(section: Sequence[Action]) -> list[Action]:
    """Each run of moves that do not touch each other's columns, the other way round."""
    found: list[Action] = []
    for kind, run in groupby(section, key=_kind):
        moves = list(run)
        touched = [name for move in moves for name in (move.target_column, move.new_name) if name]
        found += reversed(moves) if kind and len(set(touched)) == len(touched) else moves
    return found


def _kind(move: Action) -> str:
    return "rename" if move.id == RENAME else "cast" if move.id in CASTS else ""
