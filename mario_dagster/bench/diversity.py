"""How many composed incidents there are, and that they work: `mario bench diversity`.

In: how many to compile, and how many to play. Out: a census, and what was played. Counted are
distinct hashes of what a player meets, and of the kind of incident alone (no row and no value enters that one). How
many there are in all is bounded from how few of the draws were alike. Played are real sandboxes: the damage is what
the damage manifest says, a check fails, the solution's repairs undo it, and none of those that are tried can be left
out.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mario_dagster.core.registry import tasks

from .proofs import scratch_home, workers

if TYPE_CHECKING:
    from mario_dagster.sandbox.home import Home

    from .properties import Scene

CHUNK = 50


@dataclass(frozen=True)
class Draw:
    """One composed incident: its task, its difficulty, its seed."""

    task: str
    difficulty: str
    seed: int

    @property
    def profile(self) -> str:
        return f"composed:{self.difficulty}"

    def __str__(self) -> str:
        return f"{self.task}/{self.profile}/seed {self.seed}"


@dataclass(frozen=True)
class Census:
    """What was counted.

    Args:
        compiled: how many incidents were compiled.
        distinct: how many of them differ in what a player meets.
        at_least: how many there are to be drawn at the least, with 95 % confidence; None where two were alike. Of
            fewer, two of so many draws would have been alike: n draws of N meet n(n-1)/2N times or more.
        kinds: how many of them differ in kind: faults, columns, names, repairs.
        estimated_kinds: kinds there are, by Chao's lower bound from those seen once and those seen twice.
    """

    compiled: int
    distinct: int
    at_least: int | None
    kinds: int
    estimated_kinds: int


@dataclass(frozen=True)
class Played:
    """One composed incident as it was proven.

    Args:
        wrong: what does not hold, by property; empty when all is well.
        faults: kinds of fault that it was composed of.
    """

    draw: Draw
    wrong: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    steps: int = 0


def draws(count: int, first: int = 0, only: Sequence[str] = ()) -> Iterator[Draw]:
    """So many draws, over tasks and difficulties in turn."""
    from mario_dagster.incidents.compose import LEVELS

    slugs = [task.slug for task in tasks() if not only or task.slug in only]
    every = [(slug, level) for slug in slugs for level in LEVELS]
    for index in range(count):
        slug, level = every[index % len(every)]
        yield Draw(slug, level, first + index // len(every))


def hashes(wanted: Sequence[Draw]) -> list[tuple[str, str]]:
    """Of each draw, its fingerprint and its kind."""
    from mario_dagster.incidents.compile import compile_incident
    from mario_dagster.incidents.hashes import fingerprint, kind_hash

    compiled = (compile_incident(each.task, each.profile, seed=each.seed) for each in wanted)
    return [(fingerprint(incident), kind_hash(incident)) for incident in compiled]


def census(found: Iterable[tuple[str, str]]) -> Census:
    """Count hashes."""
    pairs = list(found)
    kinds = Counter(kind for _, kind in pairs)
    seen = Counter(kinds.values())
    once, twice = seen[1], seen[2]
    unseen = once * once / (2 * twice) if twice else once * (once - 1) / 2
    count, distinct = len(pairs), len({one for one, _ in pairs})
    bound = int(count * (count - 1) / (2 * math.log(20))) if distinct == count else None
    return Census(count, distinct, bound, len(kinds), len(kinds) + int(unseen))


def play(draw: Draw, root: Path, solution_only: bool = False) -> Played:
    """Prove one on a real sandbox. What breaks on the way is what is wrong.

    Args:
        solution_only: leave out what takes most of the time: whether each repair is needed.
    """
    from mario_dagster.sandbox.home import Home

    home = Home(root / str(os.getpid()))
    try:
        return _played(draw, home, solution_only)
    except Exception as error:
        return Played(draw, {type(error).__name__: str(error)[:400]})
    finally:
        home.prune(keep=0, templates=True)


def _played(draw: Draw, home: Home, solution_only: bool) -> Played:
    from mario_dagster.core.registry import task
    from mario_dagster.incidents.compile import compile_incident
    from mario_dagster.incidents.compose import profile_of
    from mario_dagster.sandbox.sandbox import Sandbox

    from . import properties
    from .incident_properties import the_manifest_is_the_exact_difference as exact

    held = [properties.what_landed_is_the_compiled_damage, _a_blocking_check_fails]
    if solution_only:
        held += [properties.the_solution_alone_recovers_it]
    else:
        held += [properties.the_solution_recovers_it, properties.every_gold_repair_is_needed]
    incident = compile_incident(draw.task, draw.profile, seed=draw.seed)
    with Sandbox.create(draw.task, profile=draw.profile, seed=draw.seed, home=home) as sandbox:
        scene = properties.Scene(sandbox, incident, home)
        wrong = {exact.__name__: exact(incident), **{each.__name__: each(scene) for each in held}}
    composed = profile_of(task(draw.task), draw.profile, draw.seed).faults
    return Played(
        draw,
        {name: said for name, said in wrong.items() if said},
        tuple(each.name for each in composed),
        len(incident.solution),
    )


def _a_blocking_check_fails(scene: Scene) -> str:
    """As of any incident; but a small one may well score above the threshold, and cannot be published for all that."""
    return "" if scene.sandbox.signals().blocking_failures else "every blocking check passes"


def hash_all(wanted: Sequence[Draw]) -> Iterator[tuple[str, str]]:
    """Of each draw its hashes, by a few processes."""
    chunks = [wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK)]
    with workers() as pool:
        for pairs in pool.map(hashes, chunks):
            yield from pairs


def play_all(sample: Sequence[Draw], solution_only: bool = False) -> Iterator[Played]:
    """Prove draws by a few processes, as they are done."""
    with scratch_home() as root, workers() as pool:
        futures = [pool.submit(play, draw, root, solution_only) for draw in sample]
        yield from (future.result() for future in as_completed(futures))
