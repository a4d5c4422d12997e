"""What had been wrong: told once an episode is over, and never before.

In: the truth store of a sandbox, how its episode ended, its tables. Out: `Truth`: faults, what they struck, what that
could reach, what would have undone it, and the tables beside the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from mario_dagster.assets.publish import RELEASES, newest_release
from mario_dagster.core.action import READS, REPAIRS, Action, ActionId
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.run_tags import ENGINEER, HISTORY, PHASE
from mario_dagster.env.episode_state import EpisodeState, Line
from mario_dagster.env.spectator import actor
from mario_dagster.incidents.profiles import profile
from mario_dagster.sandbox.sandbox import Sandbox
from mario_dagster.scoring.lost import with_totals
from mario_dagster.scoring.missing_batches import absent_batches
from mario_dagster.tables.load import table_name
from mario_dagster.tables.store import NoTable

from .cause import faults_of, struck_of
from .comparison import compared
from .lineage import reached_from
from .model import Compared, SolutionStep, Truth

Key = tuple[object, ...]


def truth_of(sandbox: Sandbox, state: EpisodeState, released: bool) -> Truth:
    """All that may be told of an episode that is over.

    Args:
        released: its tables were published in it.
    """
    assert state.done
    store, lines = sandbox.truth_store, sandbox.steps
    struck = struck_of(sandbox)
    solution, matched = _solution(sandbox, lines)
    at_strike = _beside(sandbox, _versions(sandbox, lines[0]))
    return Truth(
        about=_about(sandbox),
        faults=faults_of(struck),
        struck=struck,
        reached=reached_from(sandbox.task, struck, {each.table: each for each in at_strike}),
        shielded=_shielded(sandbox, lines[0]),
        solution=solution,
        hold=bool(store.unavailable),
        beside=tuple(_beside_solution(lines, matched)),
        compared=_beside(sandbox, _published(sandbox) if released else _versions(sandbox, lines[-1])),
        parts=dict(sorted(state.grade.items())),
        table_scores={
            name: state.table_scores[name] for name in sandbox.task.table_names if name in state.table_scores
        },
        collateral=state.collateral,
        guessed=state.guessed,
    )


def _about(sandbox: Sandbox) -> str:
    try:
        return profile(sandbox.profile).summary
    except UnknownName:  # an incident that somebody composed by hand
        return ""


def _shielded(sandbox: Sandbox, first: Line) -> bool:
    """Whether the release that consumers saw at first was made by the days that ran green."""
    name = table_name(sandbox.task, RELEASES)
    version = first.get("stored", {}).get(f"published/{name}")
    provenance = None if version is None else sandbox.workspace.published.provenance_at(name, version)
    run = None if provenance is None else sandbox.instance.get_run_by_id(provenance.run_id)
    return run is not None and run.tags.get(PHASE) == HISTORY


# --- what would have been done ----------------------------------------------------------------------------------------


def _solution(sandbox: Sandbox, lines: Sequence[Line]) -> tuple[tuple[SolutionStep, ...], frozenset[int]]:
    """The solution's steps, each with the line that did the same, and those lines."""
    done = {number: _key(Action.from_dict(line["action"]), line["table"]) for number, line in _acts(lines)}
    steps: list[SolutionStep] = []
    for action, table in _with_tables(sandbox):
        key = _key(action, table)
        number = next((number for number, other in done.items() if other == key), None)
        if number is not None:
            del done[number]
        steps.append(SolutionStep(str(action), table if action.id in REPAIRS else "", number))
    return tuple(steps), frozenset(step.line for step in steps if step.line is not None)


def _with_tables(sandbox: Sandbox) -> Iterator[tuple[Action, str]]:
    """The solution's actions but for the looks, which only say what table the next ones are for."""
    table = sandbox.task.main_table.name
    for action in map(Action.from_dict, sandbox.truth_store.solution):
        if action.id == ActionId.INSPECT_SCHEMA:
            table = action.target_column or table
        elif action.id not in READS:
            yield action, table


def _acts(lines: Sequence[Line]) -> Iterator[tuple[int, Line]]:
    """Lines of actions that were done."""
    for number, line in enumerate(lines):
        if line.get("action") and line.get("status") == "done":
            yield number, line


def _key(action: Action, table: str) -> Key:
    """What two actions have in common that do the same."""
    where = table if action.id in REPAIRS else None
    return action.id, where, action.target_column, action.new_name, action.column_order


def _beside_solution(lines: Sequence[Line], matched: frozenset[int]) -> Iterator[int]:
    for number, line in enumerate(lines):
        changed = line.get("changed") or (actor(line) == ENGINEER and line["status"] == "done")
        if changed and number not in matched:
            yield number


# --- tables beside the reference --------------------------------------------------------------------------------------


def _versions(sandbox: Sandbox, line: Line) -> Mapping[str, pd.DataFrame]:
    """The tables as a line of the journal left them."""
    lake, found = sandbox.workspace.lake, {}
    for table in sandbox.task.table_names:
        name = table_name(sandbox.task, table)
        version = line.get("stored", {}).get(f"lake/{name}")
        if version is not None:
            found[table] = lake.read_at(name, version)
    return found


def _published(sandbox: Sandbox) -> Mapping[str, pd.DataFrame]:
    """The tables as consumers see them."""
    release = newest_release(sandbox.workspace, sandbox.task)
    if release is None:
        raise NoTable("nothing was ever published")
    lake, task = sandbox.workspace.published, sandbox.task
    return {table: lake.read_at(table_name(task, table), version) for table, version in release.versions.items()}


def _beside(sandbox: Sandbox, frames: Mapping[str, pd.DataFrame]) -> tuple[Compared, ...]:
    task, store = sandbox.task, sandbox.truth_store
    absent = absent_batches(sandbox.workspace, task, store, sandbox.backlog())
    lost = with_totals(task, store.lost)
    return tuple(
        compared(table, frames.get(table.name), store.reference(table.name, absent), lost.get(table.name, frozenset()))
        for table in task.tables
    )
