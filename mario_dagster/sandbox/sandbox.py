"""The sandbox: one directory holding one pipeline's world, the one mutable thing of the engine.

In: a task, a profile, a seed; then repairs, replays, refreshes. Out: signals, grades, and a journal of steps. Every act
is
a Dagster run or an instance call on the sandbox's own home; everything told is read from there and from the tables, so
whoever else works on the same home (the Dagster UI, a script, another server) is seen at the next look.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from mario_dagster import definitions
from mario_dagster.assets.publish import Release, newest_release
from mario_dagster.checks.context import Backlog, backlog, pool_slots
from mario_dagster.core.action import Action
from mario_dagster.core.errors import StorageError
from mario_dagster.core.files import file_trouble
from mario_dagster.core.registry import task
from mario_dagster.core.task import MAX_WORKERS, MIN_WORKERS, Task
from mario_dagster.runtime.instance import RunResult, close_instance, open_instance, run_job
from mario_dagster.runtime.queries import fingerprint
from mario_dagster.scoring.grading import grade_world
from mario_dagster.scoring.score import Grade
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.signals.failures import FailureLog
from mario_dagster.signals.signals import Signals, read_signals
from mario_dagster.tables.load import table_name, tried
from mario_dagster.tables.workspace import Workspace, workspace_at

from .create import DAGSTER_HOME, stored
from .home import Home, SandboxInfo, mended_info
from .journal import Journal, Line
from .lease import Lease, Leases
from .recovery import drop_temporaries, require_steps, require_stored, take_back
from .template_cache import Recipe, clone_folder, instantiate

Tags = Mapping[str, str]
Value = TypeVar("Value")


class InvalidAction(ValueError):
    """An act that makes no sense here and now; nothing has happened."""


@dataclass(frozen=True)
class Result:
    """What came of an act.

    Args:
        ok: the run succeeded.
        message: what happened, in words without ids or times.
        failed_checks: checks that the run evaluated and that failed.
        error: why the run failed, None when it did not.
    """

    ok: bool
    message: str
    run_id: str | None = None
    failed_checks: tuple[str, ...] = ()
    error: str | None = None


class StepTransaction:
    """One step under way: what it does and its line in the journal are kept together or not at all."""

    def __init__(self, number: int):
        self.number = number
        self.line: Line | None = None

    def record(self, line: Line) -> None:
        """Set the step's line, which also says whether the episode is over."""
        self.line = line


class Sandbox:
    """One pipeline's world, open in this process. Not to be shared by threads without its own lock, which acts take."""

    def __init__(self, root: Path, truth_store: TruthStore):
        self.root = root
        self.info = SandboxInfo.load(root)
        self.task: Task = task(self.info.task)
        self.instance = open_instance(root / DAGSTER_HOME)
        self.workspace: Workspace = workspace_at(root)
        self.truth_store = truth_store
        self._journal = Journal(root, self.instance.database)
        self._leases = Leases(root, self._journal)
        self._failures = FailureLog(self.instance)
        self._lock = threading.RLock()
        self._read: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._lines: list[Line] = []

    # --- coming and going ---------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        task_reference: object = "temporal",
        *,
        profile: str | None = None,
        split: str = "train",
        seed: int = 0,
        scale: int = 1,
        feedback: str | None = None,
        id: str | None = None,
        via: str = "local",
        home: Home | None = None,
    ) -> Sandbox:
        """A new sandbox, in the state in which someone is called at night.

        The incident is lived through once (about a second) and kept as a template; from then on it is cloned.

        Args:
            profile: a family of incidents; None lets the seed draw one from the split.
            feedback: `truth` or `checks`; None is `truth` in train and `checks` in eval.
            via: the way it is played, for the first line of its journal.

        Raises:
            Unavailable: the disk is full, or does not let us write; there is no sandbox.
            UnknownName: no such task, profile, split or feedback.
            InvalidId, SandboxExists: the id cannot be one, or is taken.
        """
        home = home or Home.default()
        recipe = Recipe.of(task_reference, profile=profile, split=split, seed=seed, scale=scale)
        with file_trouble(id or "the new sandbox", writing=True):
            info = instantiate(home, recipe, id=id, feedback=feedback, via=via)
        return cls(home.sandbox(info.id), TruthStore(home.truth_store(info.id)))

    @classmethod
    def open(cls, id: str, home: Home | None = None) -> Sandbox:
        """A sandbox that is there, where its last completed step left it.

        Raises:
            InvalidId, UnknownName: there is none of that id.
            Damaged: a file that everything stands on is missing, or is not what was written.
            Unavailable: its files are out of reach for now.
        """
        home = home or Home.default()
        sandbox = cls(home.require(id), TruthStore(home.truth_store(id)))
        try:
            sandbox.instance.database.check()
            with sandbox._lock, sandbox.instance.database.transaction():
                sandbox._settle()
                sandbox._restore(tidy=False)
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def clone(self, new_id: str, home: Home | None = None) -> Sandbox:
        """A copy of this sandbox as it stands, journal and all, under another id."""
        home = home or Home(self.root.parent)
        with self.look():
            clone_folder(self.root, self.truth_store.root, home, replace(self.info, id=new_id))
        return Sandbox(home.sandbox(new_id), TruthStore(home.truth_store(new_id)))

    def close(self) -> None:
        """Let go of files, connections and caches. The sandbox stays on disk."""
        with self._lock:
            self.workspace.close()
            close_instance(self.instance)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def home(self) -> Home:
        """The home that it lies in."""
        return Home(self.root.parent)

    @property
    def split(self) -> str:
        return self.info.split

    @property
    def seed(self) -> int:
        return self.info.seed

    @property
    def scale(self) -> int:
        return self.info.scale

    @property
    def feedback(self) -> str:
        return self.info.feedback

    @property
    def profile(self) -> str:
        """The family of the incident, from the truth store: not for a player before the episode is done."""
        return self.truth_store.profile

    # --- reading ------------------------------------------------------------------------------------------------------

    def table(self, name: str) -> pd.DataFrame:
        """A table as stored. The frame is shared: never change it in place."""
        with self.look():
            return self.workspace.lake.read(table_name(self.task, self.task.table(name).name)).frame

    def signals(self) -> Signals:
        """What a player may know; computed anew only when the instance, a table or the landing zone has changed."""

        def read() -> Signals:
            graph = definitions.asset_graph()
            return read_signals(self.workspace, self.instance, self.task, self.backlog(), graph, self._failures)

        return self._current("signals", read)

    def grade(self) -> Grade:
        """The true score now. Not for a player where feedback is `checks`."""
        return self._current("grade", lambda: grade_world(self.workspace, self.task, self.truth_store, self.backlog()))

    def backlog(self) -> Backlog:
        """Batches that are loaded, batches that wait, and the workers there are."""
        return self._current("backlog", lambda: backlog(self.workspace, self.instance, self.task))

    def health(self) -> float:
        """0 to 1, from checks alone."""
        return self.signals().health

    def run_errors(self, limit: int = 5) -> tuple[str, ...]:
        """The newest failed checks and runs, in words."""
        with self.look():
            self._failures.update()
            return self._failures.newest(limit)

    def release(self) -> Release | None:
        """What consumers of the published tables see."""
        return newest_release(self.workspace, self.task)

    # --- acting -------------------------------------------------------------------------------------------------------

    def repair(self, table: str, repair: Action, tags: Tags = {}) -> Result:  # noqa: B006 - never changed
        """Materialize one table with one repair.

        Raises:
            InvalidRepair: it does not fit the table; no run was made.
        """
        contract = self.task.table(table)
        before = self.table(table)
        tried(self.workspace, self.task, contract, repair)
        op = f"{self.task.slug}__{table}"
        result = self._run(f"repair_{table}", tags, {"ops": {op: {"config": repair.to_config()}}})
        if not result.success:
            return self._failed(result, f"{repair.name} on {table} failed")
        after = self.table(table)
        rows = f"{len(before)} -> {len(after)} rows" if len(before) != len(after) else f"{len(after)} rows"
        return self._done(result, f"{repair.name} on {table}: {rows}")

    def replay(self, tags: Tags = {}) -> Result:  # noqa: B006
        """Load the oldest pending batch, then its table; with too few workers the run fails.

        Raises:
            InvalidAction: the task has no batches, or none is left to load.
        """
        table = self.task.batched_table
        if table is None:
            raise InvalidAction(f"task '{self.task.slug}' has no batches to replay")
        state = self.backlog()
        if state.pending:
            batch = state.pending[0].batch
            result = self._run("replay", {**tags, "dagster/partition": batch})
        else:
            held = self.workspace.lake.provenance(table_name(self.task, table.name)).loaded
            waiting = [each.batch for each in state.loaded if each.batch not in held]
            if not waiting:
                raise InvalidAction("no batch is pending: all that landed is loaded")
            batch = ", ".join(waiting)
            result = self._run(f"repair_{table.name}", tags)
        if not result.success:
            return self._failed(result, f"replay of {batch} failed")
        left = len(self.backlog().pending)
        return self._done(result, f"loaded {batch} into {table.name}: {left} pending")

    def refresh(self, tags: Tags = {}) -> Result:  # noqa: B006
        """Compute the derived tables again.

        Raises:
            InvalidAction: the task has none.
        """
        if not self.task.derived_tables:
            raise InvalidAction(f"task '{self.task.slug}' has no derived tables to refresh")
        names = ", ".join(table.name for table in self.task.derived_tables)
        result = self._run("refresh", tags)
        return (
            self._done(result, f"refreshed {names}")
            if result.success
            else self._failed(result, f"refresh of {names} failed")
        )

    def validate(self, table: str, tags: Tags = {}) -> Result:  # noqa: B006
        """Judge one table by its gates and its audit; nothing is written but the verdicts."""
        name = self.task.table(table).name
        result = self._run(f"validate_{name}", tags)
        failed = failed_checks(result)
        if result.success and not failed:
            return Result(True, f"{name} passes every check", result.run_id)
        return Result(
            False, f"{name} fails {', '.join(failed) or 'to be judged'}", result.run_id, failed, _error(result)
        )

    def commit(self, tags: Tags = {}) -> Result:  # noqa: B006
        """Judge and audit every table, then publish all of them or none."""
        result = self._run("commit", tags)
        failed = tuple(name for name in failed_checks(result) if name != "grade")
        if result.success:
            return Result(True, f"published {', '.join(self.task.table_names)}", result.run_id)
        return Result(
            False, f"not published: {', '.join(failed) or _error(result)}", result.run_id, failed, _error(result)
        )

    def set_workers(self, level: int) -> int:
        """Give the recovery pool this many slots, 1 to 3; returns what the pool then has.

        Raises:
            InvalidAction: the task has no pool, or the level is out of range.
        """
        if self.task.pool is None:
            raise InvalidAction(f"task '{self.task.slug}' has no recovery workers")
        if not MIN_WORKERS <= level <= MAX_WORKERS:
            raise InvalidAction(f"the pool takes {MIN_WORKERS} to {MAX_WORKERS} workers, not {level}")
        self.instance.event_log_storage.set_concurrency_slots(self.task.pool, level)
        return pool_slots(self.instance, self.task.pool)

    def workers(self) -> int:
        """Slots of the recovery pool now; 0 for a task without one."""
        return pool_slots(self.instance, self.task.pool) if self.task.pool else 0

    # --- the journal --------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> Sequence[Line]:
        """The journal's lines so far, oldest first; line 0 tells how the episode began."""
        with self._lock:
            if self._journal.count() != len(self._lines):
                self._lines = self._journal.lines()
            require_steps(len(self._lines), self.info.steps)
            return tuple(self._lines)

    @property
    def lease(self) -> Lease | None:
        """Which process acts in this sandbox, or acted last."""
        return self._leases.holder()

    @contextmanager
    def look(self) -> Iterator[None]:
        """The sandbox between two steps: nobody acts inside the block, and what a dead process left is taken back."""
        with self._lock:
            if self.instance.database.in_transaction:
                yield
                return
            with self.instance.database.transaction():
                self._settle()
                yield

    @contextmanager
    def step(self) -> Iterator[StepTransaction]:
        """Everything done inside, and the line recorded, becomes durable together at the end, or is undone.

        Another process that wants to act on the same sandbox waits meanwhile.

        Raises:
            Unavailable: the disk is full, or does not let us write; nothing has happened.
            Damaged: a file is not what was written.
        """
        with self._lock:
            step = None
            try:
                with self.look():
                    before = self.steps
                    self._leases.take(len(before))
                    step = StepTransaction(len(before))
                    yield step
                    if step.line is None:
                        raise RuntimeError("a step must record its line")
                    line = {**step.line, "stored": dict(stored(self.workspace, self.task))}
                    self._journal.record(line)
                    self._leases.settle()
            except BaseException:
                if step is not None:
                    self._undo()
                raise
            self._lines = [*before, line]
            self.info = mended_info(self.root, self._lines, self.info)

    def _undo(self) -> None:
        """Take back a step that failed; where the disk does not let us, whoever acts next does it."""
        with contextlib.suppress(StorageError), self._lock, self.instance.database.transaction():
            self._settle()

    def _settle(self) -> None:
        """Take back what an unfinished step left, and see that nothing is gone that finished ones wrote."""
        if self._leases.unsettled():
            self._restore(tidy=True)
            self._leases.drop()
        require_stored(self.workspace, self.steps[-1])
        self._journal.catch_up()

    def _restore(self, *, tidy: bool) -> None:
        """Bring files to what the database says was finished, and forget what was read from them.

        Raises:
            Damaged: the database has lost steps that were answered, as when its write-ahead log is gone.
        """
        require_steps(self._journal.count(), SandboxInfo.load(self.root).steps)
        for lake in (self.workspace.lake, self.workspace.published):
            take_back(lake, self.instance, tidy=tidy)
        if tidy:
            drop_temporaries(self.root)
        self._journal.mend()
        self._read, self._lines = ((), {}), self._journal.lines()
        self._failures = FailureLog(self.instance)
        self.info = mended_info(self.root, self._lines, self.info)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _run(self, job: str, tags: Tags, config: Mapping[str, Any] | None = None) -> RunResult:
        with self._lock:
            return run_job(
                self.instance, definitions.job(f"{self.task.slug}_{job}"), tags=dict(tags), run_config=config
            )

    def _current(self, name: str, read: Callable[[], Value]) -> Value:
        """What is read from the world, kept until anything that it is read from has changed."""
        with self.look():
            mark = self._mark()
            if self._read[0] != mark:
                self._read = (mark, {})
            held = self._read[1]
            if name not in held:
                held[name] = read()
            return cast(Value, held[name])

    def _mark(self) -> tuple[Any, ...]:
        """Changes with anything that signals or grades are computed from."""
        names = [table_name(self.task, name) for name in self.task.table_names]
        versions = tuple(self.workspace.lake.version(name) for name in names)
        return (fingerprint(self.instance.database), versions, self.workspace.landing.stamp())

    def _done(self, result: RunResult, message: str) -> Result:
        failed = failed_checks(result)
        verdict = f"failing: {', '.join(failed)}" if failed else "every fact holds"
        return Result(True, f"{message}; {verdict}", result.run_id, failed)

    def _failed(self, result: RunResult, message: str) -> Result:
        return Result(False, f"{message}: {_error(result)}", result.run_id, failed_checks(result), _error(result))


def failed_checks(result: RunResult) -> tuple[str, ...]:
    """Names of the checks that a run evaluated and that failed, sorted."""
    return tuple(sorted(name for (_, name), passed in result.checks.items() if not passed))


def _error(result: RunResult) -> str | None:
    texts = [text.split(": ", 1)[-1].replace("\n", " ") for _, text in sorted(result.errors.items())]
    return "; ".join(texts) or None
