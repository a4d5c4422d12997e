"""The proof of every incident: each property of a fair benchmark, for each task, profile, split and seed.

In: which of them. Out: a `Proof` a case, as they are done. Cases are played on real sandboxes in a scratch home, in a
few processes, since Dagster runs in one process wait for each other.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import task as find_task
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Split, Task

WORKERS = 2
# Fewer cases than this are done before another process has loaded Dagster.
WORTH_A_PROCESS = 4
State = Literal["holds", "fails", "not applicable"]


@dataclass(frozen=True)
class Case:
    """One incident to prove.

    Args:
        first: of its profile and split; properties that are proven once are proven on it.
    """

    task: str
    profile: str
    split: Split
    seed: int
    first: bool = True

    def __str__(self) -> str:
        return f"{self.task}/{self.profile}/{self.split}/seed {self.seed}"


@dataclass(frozen=True)
class Finding:
    """Whether a property holds of a case, and if not, why not."""

    state: State
    why: str = ""


@dataclass(frozen=True)
class Proof:
    """A case with what was found, by property."""

    case: Case
    findings: Mapping[str, Finding] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return bool(self.findings) and all(found.state != "fails" for found in self.findings.values())


def cases(task: str | None, profile: str | None, seeds: int, first_seed: int = 0) -> list[Case]:
    """Every case asked for; the longest plays first, so that no process is left alone with them at the end.

    A profile that no seed draws is proven on one seed, or, where it is the one asked for, on all of them. One that is
    composed (`composed:hard`) is proven where it is asked for.

    Raises:
        UnknownName: no such task, or no such profile of it.
        FaultError: the faults that a composed name lists do not fit the task, or one another.
    """
    from mario_dagster.incidents.compose import is_composed
    from mario_dagster.incidents.profiles import choose, profiles

    asked: Sequence[Task] = tasks() if task is None else (find_task(task),)
    every_seed = range(first_seed, first_seed + seeds)
    if profile is not None and is_composed(profile):
        # Composed here once, so that what cannot be is said before anything is played.
        made = [(one, choose(one, "train", seed, profile).name, seed) for one in asked for seed in every_seed]
        return [Case(one.slug, name, "train", seed, first=seed == first_seed) for one, name, seed in made]
    every = [
        (each, seeds if drawn or profile else min(seeds, 1))
        for one in sorted(asked, key=lambda one: -one.max_steps)
        for drawn in (True, False)
        for each in profiles(one, by_name_only=not drawn)
    ]
    if profile is not None and profile not in {each.name for each, _ in every}:
        raise UnknownName("profile", profile, [each.name for each, _ in every])
    return [
        Case(each.task, each.name, split, seed, first=seed == first_seed)
        for each, number in every
        if profile in (None, each.name)
        for split in each.splits
        for seed in range(first_seed, first_seed + number)
    ]


def prove_all(wanted: Sequence[Case], solution_only: bool = False) -> Iterator[Proof]:
    """Prove cases, as they are done; of each only that its solution recovers it, if that is all that is asked."""
    with scratch_home() as root:
        if len(wanted) < WORTH_A_PROCESS:
            yield from (prove(case, root, solution_only) for case in wanted)
            return
        with workers() as pool:
            futures = [pool.submit(prove, case, root, solution_only) for case in wanted]
            yield from (future.result() for future in as_completed(futures))


@contextmanager
def workers(number: int = WORKERS) -> Iterator[ProcessPoolExecutor]:
    """Processes of their own for plays; what is not begun is dropped when the block is left early."""
    # Spawned: this process may have threads (a progress bar, Dagster's), and a fork with those can hang.
    pool = ProcessPoolExecutor(
        number, multiprocessing.get_context("spawn"), initializer=_at_work, initargs=(os.getpid(),)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def scratch_home() -> Iterator[Path]:
    """A folder for sandboxes that nobody will look at again."""
    with tempfile.TemporaryDirectory(prefix="mario-") as folder:
        yield Path(folder)


def _at_work(employer: int) -> None:
    """Be gone when the process that gave the work is: Dagster's own handlers outlive a plain kill."""

    def watch() -> None:
        while os.getppid() == employer:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def prove(case: Case, root: Path, solution_only: bool = False) -> Proof:
    """One case: every property of it, or only its solution. What breaks on the way counts as a property that fails."""
    from mario_dagster.sandbox.home import Home

    from .properties import HISTORY

    home, begun = Home(root / f"{os.getpid()}"), time.perf_counter()
    try:
        findings = _findings(case, home, solution_only)
    except Exception as error:
        findings = {HISTORY: Finding("fails", _said(error))}
    home.prune(keep=0, templates=True)
    return Proof(case, findings, round(time.perf_counter() - begun, 2))


def _findings(case: Case, home: Any, solution_only: bool) -> dict[str, Finding]:
    from mario_dagster.incidents.compile import compile_incident
    from mario_dagster.sandbox.sandbox import Sandbox
    from mario_dagster.sandbox.template_cache import Recipe

    from .incident_properties import INCIDENT_PROPERTIES
    from .properties import HISTORY, ONCE, PROPERTIES, Scene, the_solution_alone_recovers_it, the_solution_recovers_it

    recipe = Recipe.of(case.task, profile=case.profile, split=case.split, seed=case.seed, scale=1)
    with Sandbox.create(case.task, profile=case.profile, split=case.split, seed=case.seed, home=home) as sandbox:
        incident = compile_incident(case.task, case.profile, split=case.split, seed=case.seed, salt=recipe.salt)
        scene = Scene(sandbox, incident, home)
        found = {HISTORY: Finding("holds")}
        if solution_only:
            return {**found, the_solution_recovers_it.__name__: _finding(the_solution_alone_recovers_it, scene)}
        for name, is_true in INCIDENT_PROPERTIES.items():
            found[name] = _finding(is_true, incident)
        for name, holds in PROPERTIES.items():
            if case.first or name not in ONCE:
                found[name] = _finding(holds, scene)
        return found


def _finding(holds: Any, of: Any) -> Finding:
    from .properties import NotApplicable

    try:
        wrong = holds(of)
    except NotApplicable as reason:
        return Finding("not applicable", str(reason))
    except Exception as error:
        return Finding("fails", _said(error))
    return Finding("fails", wrong) if wrong else Finding("holds")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:400]
