"""What people do to a pipeline while an episode is played in it: each of their acts becomes a line of the journal.

In: a sandbox and how the episode stands. Out: the oldest `Intervention`: a run that has ended and that no action made,
or a change of the worker pool. Both are looked up in the Dagster instance, so it does not matter whether they
came from a launchpad, from `dagster asset materialize` or from a script. Where an act is one that an agent could have
played, it is named as that action, so that a plan can be made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mario_dagster.core.action import REPAIRS, Action, ActionId
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.run_tags import ENGINEER, PHASE, STEP, step_tags
from mario_dagster.core.task import Task

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterRun

    from mario_dagster.runtime.queries import FinishedRun
    from mario_dagster.sandbox.sandbox import Sandbox

    from .episode_state import EpisodeState

# What an act takes that no action stands for; as long as the repair of a table.
MINUTES = 3.0


@dataclass(frozen=True)
class Intervention:
    """One act of a person.

    Args:
        action: the action that does the same; None where none does.
        name: the action's, or what was materialized.
        table: the table that it was for; None where it was for the pipeline.
        result: what came of it, in words without ids or times.
        published: it released the tables to their consumers.
        run_id: the run; None where it took none.
        slots: what the worker pool then had, where the act was to change that.
    """

    action: Action | None
    name: str
    table: str | None
    done: bool
    result: str
    published: bool = False
    run_id: str | None = None
    slots: int | None = None

    @property
    def minutes(self) -> float:
        return MINUTES if self.action is None else self.action.spec.minutes


def next_intervention(sandbox: Sandbox, state: EpisodeState) -> Intervention | None:
    """The oldest act of a person since the newest line of the journal; None where there was none."""
    from mario_dagster.runtime.queries import finished_runs_without, pool_changes

    database = sandbox.instance.database
    change = next(iter(pool_changes(database)[state.pool_changes :]), None)
    runs = finished_runs_without(database, STEP, PHASE)
    finished = min(runs, key=lambda run: run.first_event, default=None)
    if change is not None and (finished is None or change.after_event <= finished.first_event):
        return _scaled(sandbox.task, state.workers, change.slots)
    return None if finished is None else _ran(sandbox, finished)


def absorbed(sandbox: Sandbox, intervention: Intervention, number: int) -> None:
    """Tag the run of an intervention as a step of the episode, in the transaction that is open."""
    if intervention.run_id is not None:
        # `user` is what the UI names as that which launched it.
        tags = {**step_tags(sandbox.id, number, intervention.name, ENGINEER), "user": ENGINEER}
        sandbox.instance.add_run_tags(intervention.run_id, tags)


def _scaled(task: Task, before: int, slots: int) -> Intervention:
    """A slot given or taken, as an agent does it."""
    up = slots > before
    action = Action(ActionId.SCALE_RECOVERY_WORKERS_UP if up else ActionId.SCALE_RECOVERY_WORKERS_DOWN)
    words = f"pool {task.pool} has {slots} slot{'' if slots == 1 else 's'}"
    return Intervention(action, action.name, None, True, words, slots=slots)


def _ran(sandbox: Sandbox, finished: FinishedRun) -> Intervention:
    from mario_dagster.assets.publish import newest_release

    run, task = finished.run, sandbox.task
    release = newest_release(sandbox.workspace, task)
    published = finished.succeeded and release is not None and release.run_id == run.run_id
    action, name, table = _named(task, run, published)
    words = "; ".join(_change(sandbox, changed, action) for changed in _changes(sandbox, run.run_id))
    if published:
        words = f"published {', '.join(task.table_names)}"
    if not finished.succeeded:
        from mario_dagster.signals.failures import why_failed

        why = why_failed(sandbox.instance, run.run_id)
        words = "; ".join(part for part in (f"the run failed{why and f': {why}'}", words) if part)
    told = f"{name}{f' on {table}' if table and action else ''}: {words or 'no table was written'}"
    return Intervention(action, name, table, finished.succeeded, told, published, run.run_id)


def _changes(sandbox: Sandbox, run_id: str) -> Iterator[tuple[str, int]]:
    """Each table that a run wrote, and the version that it wrote."""
    from mario_dagster.tables.load import table_name

    lake = sandbox.workspace.lake
    for table in sandbox.task.table_names:
        name = table_name(sandbox.task, table)
        for version in sorted(lake.versions(name), reverse=True):
            provenance = lake.provenance_at(name, version)
            if provenance is not None and provenance.run_id == run_id:
                yield table, version
                break


def _change(sandbox: Sandbox, changed: tuple[str, int], action: Action | None) -> str:
    """What a run did to a table, as an agent's own repair is told of."""
    from mario_dagster.tables.load import table_name
    from mario_dagster.tables.what_changed import what_changed

    table, version = changed
    lake, name = sandbox.workspace.lake, table_name(sandbox.task, table)
    after = lake.read_at(name, version)
    before = lake.read_at(name, version - 1) if version else after.iloc[:0]
    did = ""
    if version and action is not None and action.id in REPAIRS and action.table == table:
        did = what_changed(before, after, action, sandbox.task.table(table))
    return f"{table}: {len(before)} -> {len(after)} rows{did and f' ({did})'}"


# --- which action a run was -------------------------------------------------------------------------------------------


def _named(task: Task, run: DagsterRun, published: bool) -> tuple[Action | None, str, str | None]:
    """The action that a run amounts to, what it is called, and the table that it is for."""
    job = run.job_name.removeprefix(f"{task.slug}_")
    tables = _tables(task, run, job)
    action = _action(task, run, job, tables, published)
    if action is not None:
        return action, action.name, action.table
    if job.startswith("validate_"):
        return Action(ActionId.VALIDATE_SCHEMA), "validate_schema", job.removeprefix("validate_")
    assets = ", ".join(sorted(key.path[-1] for key in run.asset_selection or ()))
    return None, f"materialize {assets}" if assets else run.job_name, tables[0] if len(tables) == 1 else None


def _action(task: Task, run: DagsterRun, job: str, tables: tuple[str, ...], published: bool) -> Action | None:
    repairs = [repair for table in tables if (repair := _repair(task, run, table)) is not None]
    derived = tuple(table.name for table in task.derived_tables)
    batched = task.batched_table.name if task.batched_table else None
    if published or job == "commit":
        return Action(ActionId.COMMIT_CHANGES)
    if len(tables) == 1 and len(repairs) == 1:
        return repairs[0]
    if repairs:
        return None
    if derived and tables == derived:
        return Action(ActionId.REFRESH_DOWNSTREAM_ASSETS)
    if batched and tables == (batched,):
        return Action(ActionId.REPLAY_PRIORITY_BATCH)
    return None


def _tables(task: Task, run: DagsterRun, job: str) -> tuple[str, ...]:
    """The task's tables that a run materializes, in the task's order."""
    derived = tuple(table.name for table in task.derived_tables)
    by_job: Mapping[str, tuple[str, ...]] = {
        "refresh": derived,
        "replay": (task.batched_table.name,) if task.batched_table else (),
        **{f"repair_{name}": (name,) for name in task.table_names},
    }
    if job in by_job and not run.asset_selection:
        return by_job[job]
    selected: frozenset[AssetKey] = frozenset(run.asset_selection or ())
    names = {key.path[-1] for key in selected}
    return tuple(name for name in task.table_names if name in names)


def _repair(task: Task, run: DagsterRun, table: str) -> Action | None:
    """The repair that a run's config asks for, of a table; None where it asks for none."""
    from mario_dagster.engine.acts import repair_asked

    config = repair_asked(task, run, table)
    if not config.get("action"):
        return None
    try:
        action = Action.from_config(config)
    except UnknownName:
        return None
    return Action(action.id, action.target_column, action.new_name, action.column_order, table)
