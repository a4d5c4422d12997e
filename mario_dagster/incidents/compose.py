"""Incidents composed of any set of faults: named, given, or drawn to be easy, medium or hard.

In: a task, faults (or none) and a seed. Out: an `Incident` from the same compiler that registered profiles go through.
Under the name `composed:hard` (or `easy`, `medium`, or faults' names: `composed:lost_values+renamed_columns`) `reset`
takes them as it takes a profile, in the train split only. What is drawn is made of the names, spellings and units of
train profiles, and leaves out what only a held-out family does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, lru_cache
from typing import Literal, cast

import numpy as np

from mario_dagster.core import registry
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.task import Profile, Task
from mario_dagster.tables.random_streams import stream

from .assembly import Incident, compile_profile
from .damage import CannotStrike, FaultError
from .faults import fault, faults
from .faults.bad_deploy import BadDeploy
from .faults.base import Fault, fits
from .faults.conflicts import Conflict, Material
from .faults.late_batches import LateBatches
from .faults.lost_values import LostValues
from .faults.renamed_columns import RenamedColumns
from .registry import profiles

Difficulty = Literal["easy", "medium", "hard"]
Faults = Iterable[str] | Iterable[Fault]

PREFIX, CUSTOM = "composed:", "composed:custom"
# Of an episode's budget, what is left for looking before acting.
SPARE_STEPS = 1


@dataclass(frozen=True)
class Level:
    """How hard a composed incident is.

    Args:
        faults: how many that call for repair, from least to most; fewer where the step budget takes no more.
        together: how many of them at the least strike a column, or a table's rows, that another strikes too.
        noise: how many harmless oddities, from least to most.
        late: how often batches are late, where there are batches.
    """

    faults: tuple[int, int]
    together: int
    noise: tuple[int, int]
    late: float = 1.0


LEVELS: Mapping[Difficulty, Level] = {
    "easy": Level(faults=(1, 2), together=0, noise=(0, 0), late=0.5),
    "medium": Level(faults=(3, 4), together=1, noise=(1, 1)),
    "hard": Level(faults=(5, 8), together=2, noise=(1, 3)),
}


def compose(
    task: object,
    faults: Faults | None = None,
    *,
    seed: int,
    difficulty: Difficulty | None = None,
    scale: int = 1,
) -> Incident:
    """An incident of the faults that are asked for.

    Args:
        faults: names, for each of which the seed draws what it strikes and how; or faults themselves; None lets the
            seed draw a fitting set.
        difficulty: of a drawn set; `medium` unless given. Beside faults that are asked for: how much noise is added.

    Raises:
        UnknownName: no such task, fault or difficulty.
        FaultError: a fault does not fit the task or its column, or two do not go together; the message names both.
        ValueError: a scale below 1.
    """
    found = registry.task(task)
    noise = LEVELS[_level(difficulty)].noise if difficulty else (0, 0)
    if faults is None:
        profile = profile_of(found, f"{PREFIX}{_level(difficulty or 'medium')}", seed)
        return compile_profile(found, profile, seed=seed, scale=scale)
    asked, rng = list(faults), stream(seed, found.slug, "composed", "noise")
    kinds = [each for each in asked if isinstance(each, str)]
    picked = [each for each in asked if isinstance(each, Fault)]
    if kinds and picked:
        raise FaultError("compose takes faults, or names of faults, not some of both")
    if kinds:
        added = [each.name for each in _noise(found, _named(found, kinds, rng), noise, rng)]
        profile = profile_of(found, PREFIX + "+".join((*kinds, *added)), seed)
    else:
        profile = _checked(found, _profile(found, CUSTOM, [*picked, *_noise(found, picked, noise, rng)]), seed)
    return compile_profile(found, profile, seed=seed, scale=scale)


def is_composed(name: str) -> bool:
    """Whether a profile goes by the name of something composed."""
    return name.startswith(PREFIX)


def profile_of(task: Task, name: str, seed: int) -> Profile:
    """The profile that a composed name and a seed mean on a task.

    Raises:
        UnknownName: neither a difficulty nor names of faults come after `composed:`.
        FaultError: the faults named do not fit the task, or one another.
    """
    return _profile_of(task.slug, name, seed)


def described(name: str) -> Profile:
    """What can be said of a composed name without a task and a seed. Raises `UnknownName` where it means nothing."""
    kinds = () if name == CUSTOM or name.removeprefix(PREFIX) in LEVELS else _kinds(name)
    return Profile(
        name=name,
        task="",
        splits=("train",),
        summary="Composed of the faults that were asked for." if kinds else "Composed of faults that the seed draws.",
        patterns=tuple(kind.replace("_", " ") for kind in kinds) or ("composed",),
    )


def together(task: Task, picked: Sequence[Fault]) -> None:
    """Raises `FaultError` where a fault does not fit the task, or two of them lay hold of the same thing."""
    held: dict[Conflict, Fault] = {}
    for each in picked:
        for claim in dict.fromkeys(each.conflicts(task)):
            if claim in held:
                raise FaultError(f"{held[claim].name} and {each.name} do not go together: both change {claim}")
            held[claim] = each


# --- drawing ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _profile_of(slug: str, name: str, seed: int) -> Profile:
    task, wanted = registry.task(slug), name.removeprefix(PREFIX)
    rng = stream(seed, slug, "composed", wanted)
    if wanted not in LEVELS:
        return _checked(task, _profile(task, name, _named(task, _kinds(name), rng)), seed)
    level = LEVELS[_level(wanted)]
    late = list(LateBatches.fitting(task, material(task)))
    first = [late[rng.integers(len(late))]] if late and rng.random() < level.late else []
    picked = [*first, *_damaging(task, first, level, rng)]
    noise = _noise(task, picked, level.noise, rng)
    while True:
        profile = _profile(task, name, [*picked, *noise])
        try:
            steps = len(compile_profile(task, profile, seed=seed).solution)
        except CannotStrike as idle:
            picked = [each for each in picked if each.name != idle.fault]
            if not picked:
                raise
            continue
        # What is in excess of the step budget is left out again, the last drawn first.
        if steps <= task.max_steps - SPARE_STEPS:
            return profile
        picked.pop()


def _checked(task: Task, profile: Profile, seed: int) -> Profile:
    """The profile, where its faults go together and leave steps enough to undo them; `FaultError` where they do not."""
    together(task, profile.faults)
    steps = len(compile_profile(task, profile, seed=seed).solution)
    if steps > task.max_steps:
        undone = ", ".join(each.name for each in profile.faults)
        raise FaultError(f"undoing {undone} takes {steps} steps, and '{task.slug}' allows {task.max_steps}")
    return profile


def _damaging(task: Task, held: Sequence[Fault], level: Level, rng: np.random.Generator) -> list[Fault]:
    """Faults that call for repair: as many as the level says, some of them where others strike."""
    wanted, picked = int(rng.integers(level.faults[0], level.faults[1] + 1)), list[Fault]()
    open_ = {kind: each for kind, each in candidates(task).items() if not each[0].harmless and kind != "late_batches"}
    while len(picked) < wanted:
        struck = set(_places(task, picked))
        near = level.together > sum(_crowded(task, picked)) and len(picked) >= wanted - level.together
        near_by = {
            kind: [
                each
                for each in pool
                if _fits(task, [*held, *picked], each)
                and (not near or struck.intersection(_places(task, [each])))
                and (level.together or not struck.intersection(_places(task, [each])))
            ]
            for kind, pool in open_.items()
        }
        # A scale that was rolled back shows only while something upstream keeps the table from being refreshed.
        kinds = [kind for kind, pool in near_by.items() if pool and (picked or kind != "bad_deploy")]
        if not kinds:
            break
        pool = near_by[kinds[rng.integers(len(kinds))]]
        picked.append(pool[rng.integers(len(pool))])
    return picked


def _noise(task: Task, picked: Sequence[Fault], count: tuple[int, int], rng: np.random.Generator) -> list[Fault]:
    """Harmless oddities, each of another kind."""
    open_ = [pool for pool in candidates(task).values() if pool[0].harmless]
    noise: list[Fault] = []
    for index in rng.permutation(len(open_))[: int(rng.integers(count[0], count[1] + 1))]:
        beside = [each for each in open_[index] if _fits(task, [*picked, *noise], each)]
        noise += [beside[rng.integers(len(beside))]] if beside else []
    return noise


def _named(task: Task, kinds: Sequence[str], rng: np.random.Generator) -> list[Fault]:
    """One fault of each kind, such that all of them go together."""
    picked: list[Fault] = []
    for kind in kinds:
        offered = fits(fault(kind), task, material(task))
        pool = offered.faults
        if not pool:
            raise FaultError(offered.refusals[0])
        beside = [each for each in pool if _fits(task, picked, each)]
        if not beside:
            together(task, [*picked, pool[0]])
        picked.append(beside[rng.integers(len(beside))])
    return picked


def _fits(task: Task, picked: Sequence[Fault], one: Fault) -> bool:
    claimed = {claim for each in picked for claim in each.conflicts(task)}
    return claimed.isdisjoint(one.conflicts(task))


def _places(task: Task, picked: Iterable[Fault]) -> Iterator[tuple[str, str]]:
    """Where faults strike: columns, or which rows a table has."""
    for each in picked:
        yield from {(claim.table, claim.column or "") for claim in each.conflicts(task)}


def _crowded(task: Task, picked: Sequence[Fault]) -> Iterator[bool]:
    """Of each fault after the first, whether it strikes where one before it does."""
    for index, each in enumerate(picked):
        yield bool(set(_places(task, picked[:index])).intersection(_places(task, [each])))


# --- what there is to draw from ---------------------------------------------------------------------------------------


def candidates(task: Task) -> Mapping[str, tuple[Fault, ...]]:
    """Kind of fault -> its instances that fit a task, less those that only a held-out family has."""
    return _candidates(task.slug)


@cache
def _candidates(slug: str) -> Mapping[str, tuple[Fault, ...]]:
    task = registry.task(slug)
    stuff, reserved = material(task), _reserved(task)
    found = {
        kind: tuple(f for f in fits(cls, task, stuff).faults if (kind, getattr(f, "table", "")) not in reserved)
        for kind, cls in faults().items()
    }
    return {kind: pool for kind, pool in found.items() if pool}


def material(task: Task) -> Material:
    """The names that the task's train profiles use, and the values that they may lose."""
    return _material(task.slug)


@cache
def _material(slug: str) -> Material:
    task = registry.task(slug)
    aliases: dict[tuple[str, str], tuple[str, ...]] = {}
    losable: set[tuple[str, str]] = set()
    for each in _faults_of(task, held_out=False):
        if isinstance(each, RenamedColumns | BadDeploy):
            for column, pool in each.aliases.items():
                known = aliases.get((each.table, column), ())
                aliases[each.table, column] = tuple(dict.fromkeys((*known, *pool)))
        elif isinstance(each, LostValues):
            losable.add((each.table, each.column))
    return Material(aliases=aliases, losable=frozenset(losable))


def _reserved(task: Task) -> set[tuple[str, str]]:
    """(kind, table) of the damage that only held-out families do."""
    kinds = [{(each.name, getattr(each, "table", "")) for each in _faults_of(task, out)} for out in (True, False)]
    return kinds[0] - kinds[1]


def _faults_of(task: Task, held_out: bool) -> Iterator[Fault]:
    for each in profiles(task):
        if each.held_out if held_out else "train" in each.splits:
            yield from _walk(each.faults)


def _walk(value: object) -> Iterator[Fault]:
    """Every fault in a profile, those inside choices too."""
    if isinstance(value, Fault):
        yield value
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _walk(getattr(value, each.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _walk(each)


def _profile(task: Task, name: str, picked: Sequence[Fault]) -> Profile:
    kinds = tuple(dict.fromkeys(each.name.replace("_", " ") for each in picked))
    summary = f"Composed: {', '.join(kinds)}."
    return Profile(name, task.slug, ("train",), summary, tuple(picked), patterns=kinds, options={"by_name_only": True})


def _kinds(name: str) -> tuple[str, ...]:
    """The kinds of fault that a composed name lists."""
    kinds = tuple(name.removeprefix(PREFIX).split("+"))
    known = faults()
    for kind in kinds:
        if kind not in known:
            raise UnknownName("difficulty or fault", kind, (*LEVELS, *known))
    return kinds


def _level(name: str | None) -> Difficulty:
    if name not in LEVELS:
        raise UnknownName("difficulty", name, LEVELS)
    return cast(Difficulty, name)
