"""The gold plan: the public actions that undo an incident, one after another.

In: the repairs that the faults call for, and the backlog. Out: `Step`s, a commit at the end unless it is right to hold
back. Row-wise repairs come before the replays, since they are remembered and applied to each batch as it loads;
set-wise ones act on the whole table and come after; the derived tables' are remembered too, and come before the
refresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mario_dagster.core.task import Task

ACTION_IDS: Mapping[str, int] = {
    "inspect_schema": 0,
    "fill_mean": 3,
    "fill_median": 4,
    "fill_forward": 5,
    "drop_nulls": 6,
    "cast_to_int": 7,
    "cast_to_float": 8,
    "cast_to_string": 9,
    "remove_duplicates": 10,
    "drop_outliers": 11,
    "rename_column": 12,
    "reorder_columns": 13,
    "commit_changes": 15,
    "scale_recovery_workers_up": 16,
    "scale_recovery_workers_down": 17,
    "replay_priority_batch": 18,
    "refresh_downstream_assets": 19,
}
ACTION_NAMES: Mapping[int, str] = {number: name for name, number in ACTION_IDS.items()}
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
class Step:
    """One public action.

    Args:
        table: the table that must be active for it; None where that does not matter. Plans hold the `inspect_schema`
            steps (with the table as `target_column`) that make it so.
    """

    action_id: int
    table: str | None = None
    target_column: str | None = None
    new_name: str | None = None
    column_order: tuple[str, ...] | None = None

    @property
    def action(self) -> str:
        return ACTION_NAMES[self.action_id]

    def to_dict(self) -> dict[str, Any]:
        """The action as a player sends it; fields that are None left out."""
        order = list(self.column_order) if self.column_order is not None else None
        fields = {
            "action_id": self.action_id,
            "target_column": self.target_column,
            "new_name": self.new_name,
            "column_order": order,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Backlog:
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
    task: Task, repairs: Iterable[Step], backlog: Backlog, refresh: bool, publish: bool = True
) -> tuple[Step, ...]:
    """The whole gold plan, from a fresh incident with the main table active to the end.

    Args:
        refresh: derived tables are wrong, or will be stale once all else is repaired.
        publish: it ends with the commit; else whoever plays it then leaves everything as it is.
    """
    by_table = _sorted(repairs)
    main = task.main_table.name
    steps = [step for step in by_table.get(main, ()) if PHASES[step.action] <= LAST_ROW_WISE]
    steps += _drain(backlog)
    steps += [step for step in by_table.get(main, ()) if PHASES[step.action] > LAST_ROW_WISE]
    for table in task.tables[1:]:
        if table.name in by_table:
            steps += [Step(ACTION_IDS["inspect_schema"], target_column=table.name), *by_table[table.name]]
    if refresh:
        steps.append(Step(ACTION_IDS["refresh_downstream_assets"]))
    return (*steps, *([Step(ACTION_IDS["commit_changes"])] if publish else []))


def _sorted(repairs: Iterable[Step]) -> dict[str, Sequence[Step]]:
    """By table, in order of phase; what two faults both ask for is done once."""
    by_table: dict[str, list[Step]] = {}
    for step in dict.fromkeys(repairs):
        by_table.setdefault(str(step.table), []).append(step)
    return {table: sorted(steps, key=lambda step: PHASES[step.action]) for table, steps in by_table.items()}


def _drain(backlog: Backlog) -> list[Step]:
    """Up to the peak, every batch, and down again to what is still required."""
    top = max(backlog.peak if backlog.rows else backlog.floor, backlog.workers)
    up, down = top - backlog.workers, max(0, top - backlog.floor)
    return [
        *[Step(ACTION_IDS["scale_recovery_workers_up"])] * up,
        *[Step(ACTION_IDS["replay_priority_batch"])] * len(backlog.rows),
        *[Step(ACTION_IDS["scale_recovery_workers_down"])] * down,
    ]
