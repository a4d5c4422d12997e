"""The sandbox: one directory holding one pipeline, the one mutable thing of the engine.

In: a task, a profile, a seed; then repairs, replays, refreshes. Out: signals, grades, and a journal of steps. Every act
is
a Dagster run or an instance call on the sandbox's own home; everything told is read from there and from the tables, so
whoever else works on the same home (the Dagster UI, a script, another server) is seen at the next look.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mario_dagster.assets.publish import Release, newest_release
from mario_dagster.checks.context import Backlog, pool_slots
from mario_dagster.core.action import Action
from mario_dagster.core.errors import StorageError
from mario_dagster.core.files import file_trouble
from mario_dagster.core.registry import task
from mario_dagster.core.task import Task
from mario_dagster.engine import acts
from mario_dagster.engine.acts import Result
from mario_dagster.engine.pipeline import Pipeline, Tags
from mario_dagster.engine.snapshot import Mark, Snapshot, mark, take
from mario_dagster.engine.told import tell
from mario_dagster.runtime.instance import close_instance, open_instance
from mario_dagster.scoring.score import Grade
from mario_dagster.scoring.truth import TruthStore
from mario_dagster.signals.failures import FailureLog
from mario_dagster.signals.signals import Signals
from mario_dagster.tables.load import table_name
from mario_dagster.tables.workspace import Workspace, workspace_at

from .create import DAGSTER_HOME, stored
from .home import Home, SandboxInfo, mended_info
from .journal import Journal, Line
from .lease import Lease, Leases
from .recovery import drop_temporaries, require_steps, require_stored, take_back
from .template_cache import Recipe, clone_folder, instantiate


class StepTransaction:
    """One step under way: what it does and its line in the journal are kept together or not at all."""

    def __init__(self, leases: Leases, number: int):
        self._leases = leases
        self.number = number
        self.begun = False
        self.line: Line | None = None

    def begin(self) -> None:
        """Say, before the first act, that a step is under way. Raises `Unavailable` where that cannot be written."""
        if not self.begun:
            self.begun = True
            self._leases.take(self.number)

    def record(self, line: Line) -> None:
        """Set the step's line, which also says whether the episode is over."""
        self.line = line


class Sandbox:
    """One pipeline, open in this process. Not to be shared by threads without its own lock, which acts take."""

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
        self.pipeline = Pipeline(self.task, self.workspace, self.instance)
        # The newest snapshot and the mark that it holds under, None until a look is over that somebody acted in; the
        # same snapshot once it is known to be of this very look.
        self._taken: Snapshot | None = None
        self._mark: Mark | None = None
        self._now: Snapshot | None = None
        self._step: StepTransaction | None = None
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

    def snapshot(self) -> Snapshot:
        """How the pipeline stands; taken anew only when the instance, a table or the landing zone has changed."""
        with self.look():
            if self._now is None:
                if self._taken is None or self._mark is None or self._mark != mark(self.pipeline):
                    self._taken, self._mark = take(self.pipeline, self._failures, self.truth_store), None
                self._now = self._taken
            return self._now

    def signals(self) -> Signals:
        """What a player may know."""
        return self.snapshot().signals

    def grade(self) -> Grade:
        """The true score now. Not for a player where feedback is `checks`."""
        with self.look():
            return self.snapshot().grade

    def backlog(self) -> Backlog:
        """Batches that are loaded, batches that wait, and the workers there are."""
        return self.snapshot().backlog

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

    def repair(self, table: str, action: Action, tags: Tags = {}) -> Result:  # noqa: B006 - never changed
        """Materialize one table with one repair. Raises `InvalidRepair` where it does not fit; no run was made."""
        name = self.task.table(table).name
        with self._acting():
            return acts.repair(self.pipeline, name, action, tags)

    def replay(self, tags: Tags = {}) -> Result:  # noqa: B006
        """Load the oldest pending batch, then its table; raises `InvalidAction` where there is none to load."""
        with self._acting():
            return acts.replay(self.pipeline, self.backlog(), tags)

    def refresh(self, tags: Tags = {}) -> Result:  # noqa: B006
        """Compute the derived tables again; raises `InvalidAction` where the task has none."""
        with self._acting():
            return acts.refresh(self.pipeline, tags)

    def validate(self, table: str, tags: Tags = {}) -> Result:  # noqa: B006
        """Judge one table by its gates and its audit; nothing is written but the verdicts."""
        name = self.task.table(table).name
        with self._acting():
            return acts.validate(self.pipeline, name, tags)

    def commit(self, tags: Tags = {}) -> Result:  # noqa: B006
        """Judge and audit every table, then publish all of them or none."""
        with self._acting():
            return acts.commit(self.pipeline, tags)

    def set_workers(self, level: int) -> int:
        """Give the recovery pool 1 to 3 slots; returns what it then has. Raises `InvalidAction` where it cannot."""
        with self._acting():
            return acts.set_workers(self.pipeline, level)

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

    def keep(self, key: str, value: str) -> None:
        """Keep a value beside the lines, in the transaction that is open."""
        self._journal.keep(key, value)

    def kept(self, key: str) -> str | None:
        """The value kept under a key; None where there is none."""
        return self._journal.kept(key)

    def tell(self, page: Mapping[str, Any]) -> None:
        """Tell people in the UI how the pipeline stands, in the transaction that is open: checks, freshness, a page."""
        with self.look():
            tell(self.pipeline, self.snapshot(), page)
            # A snapshot is computed from none of this: it goes on holding, under another mark.
            self._mark = None

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
            # Nobody else writes meanwhile: what is asked of disk and instance is asked once.
            with self.instance.database.transaction(), self.workspace.steady():
                self._now = None
                self._settle()
                yield
                self._remark()

    @contextmanager
    def step(self) -> Iterator[StepTransaction]:
        """Everything done inside, and the line recorded, become durable together at the end, or are undone.

        Another process that wants to act on the same sandbox waits meanwhile. Inside, a step that neither acts nor
        records a line is only a look.

        Raises:
            Unavailable: the disk is full, or does not let us write; nothing has happened.
            Damaged: a file is not what was written.
        """
        with self._lock:
            step = None
            try:
                with self.look():
                    before = self.steps
                    step = self._step = StepTransaction(self._leases, len(before))
                    yield step
                    line = self._recorded(step)
            except BaseException:
                if step is not None and step.begun:
                    self._undo()
                raise
            finally:
                self._step = None
            if line is not None:
                self._lines = [*before, line]
                self.info = mended_info(self.root, self._lines, self.info)

    def _recorded(self, step: StepTransaction) -> Line | None:
        """The line of a step, put into the journal with the table versions that it stands on; None of a mere look."""
        if step.line is None:
            if step.begun:
                raise RuntimeError("a step that acts must record its line")
            return None
        line = {**step.line, "stored": dict(stored(self.workspace, self.task))}
        self._journal.record(line)
        if step.begun:
            self._leases.settle()
        return line

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
        self._taken, self._now, self._lines = None, None, self._journal.lines()
        self._failures = FailureLog(self.instance)
        self.info = mended_info(self.root, self._lines, self.info)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _remark(self) -> None:
        """Once somebody has acted, and how the pipeline stands then was looked at: note what that holds under."""
        if self._now is not None and self._mark is None:
            self._mark = mark(self.pipeline)

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """While somebody acts; how the pipeline stands must be looked at anew afterwards."""
        with self._lock:
            if self._step is not None:
                self._step.begin()
            try:
                yield
            finally:
                self._now = self._mark = None
