"""The gold plan: the public actions that undo an incident, one after another.

In: the repairs that the faults call for, and the backlog. Out: `Action`s, a commit at the end unless it is right to
hold back. Row-wise repairs come before the replays, since they are remembered and applied to each batch as it loads;
set-wise ones act on the whole table and come after; the derived tables' are remembered too, and come before the
refresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mario_dagster.core.action import Action, ActionId
from mario_dagster.core.task import Task

# Within a table: names first, then values, then the order of columns; rows go before values are filled from the rest.
PHASES: Mapping[str, int] = {
    "rename_column": 0,
    "cast_to_int": 1,
    "cast_to_float": 1,
    "cast_to_string": 1,
    "reorder_columns": 2,
    "drop_nulls": 3,
    "remove_duplicates": 4,
    "drop_outliers": 5,
    "fill_mean": 6,
    "fill_median": 6,
    "fill_forward": 6,
}
LAST_ROW_WISE = PHASES["reorder_columns"]


@dataclass(frozen=True)
class Waiting:
    """What waits behind the pool after the strike.

    Args:
        rows: declared rows of each pending batch that can be loaded, oldest first.
        workers: slots that the strike left.
        floor: workers required when all of those are loaded.
        peak: workers required while all of it is pending.
    """

    rows: tuple[int, ...] = ()
    workers: int = 1
    floor: int = 1
    peak: int = 1


def plan(
    task: Task, repairs: Iterable[Action], backlog: Waiting, refresh: bool, publish: bool = True
) -> tuple[Action, ...]:
    """The whole gold plan, from a fresh incident with the main table active to the end.

    Args:
        refresh: derived tables are wrong, or will be stale once all else is repaired.
        publish: it ends with the commit; else whoever plays it then leaves everything as it is.
    """
    by_table = _sorted(repairs)
    main = task.main_table.name
    steps = [step for step in by_table.get(main, ()) if PHASES[step.name] <= LAST_ROW_WISE]
    steps += _drain(backlog)
    steps += [step for step in by_table.get(main, ()) if PHASES[step.name] > LAST_ROW_WISE]
    for table in task.tables[1:]:
        if table.name in by_table:
            steps += [Action(ActionId.INSPECT_SCHEMA, target_column=table.name), *by_table[table.name]]
    if refresh:
        steps.append(Action(ActionId.REFRESH_DOWNSTREAM_ASSETS))
    return (*steps, *([Action(ActionId.COMMIT_CHANGES)] if publish else []))


def _sorted(repairs: Iterable[Action]) -> dict[str, Sequence[Action]]:
    """By table, in order of phase; what two faults both ask for is done once."""
    by_table: dict[str, list[Action]] = {}
    for step in dict.fromkeys(repairs):
        by_table.setdefault(str(step.table), []).append(step)
    return {table: sorted(steps, key=lambda step: PHASES[step.name]) for table, steps in by_table.items()}


def _drain(backlog: Waiting) -> list[Action]:
    """Up to the peak, every batch, and down again to what is still required."""
    top = max(backlog.peak if backlog.rows else backlog.floor, backlog.workers)
    up, down = top - backlog.workers, max(0, top - backlog.floor)
    return [
        *[Action(ActionId.SCALE_RECOVERY_WORKERS_UP)] * up,
        *[Action(ActionId.REPLAY_PRIORITY_BATCH)] * len(backlog.rows),
        *[Action(ActionId.SCALE_RECOVERY_WORKERS_DOWN)] * down,
    ]
