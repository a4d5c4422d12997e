"""Putting an incident together: a profile becomes concrete damage, a manifest of it, the solution that undoes it.

In: a task, a profile, a seed, a split, a scale. Out: an `Incident`. The producer redelivers every
batch under its new schema, so that a drift is in all of them alike; the pipeline had loaded the first few batches when
it struck, and the others wait. The same arguments give the same incident on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mario_dagster.core.action import Action
from mario_dagster.core.deploy import Deploy
from mario_dagster.core.task import Profile, Split, Table, Task, required_workers
from mario_dagster.tables.clean_data import CleanData
from mario_dagster.tables.random_streams import stream
from mario_dagster.tables.spec import clean_data_of

from .build_manifest import damage_manifest_of
from .damage import CannotStrike, Damage, Feed
from .faults.base import Fault
from .manifest import DamageManifest
from .solution import Waiting, plan

Streams = Callable[[str], np.random.Generator]
Decision = Literal["publish", "hold"]

FLOOR, HELD_OUT_FLOOR = 2, 3


@dataclass(frozen=True)
class Incident:
    """One incident, compiled.

    Args:
        clean: what the producers really sent: the truth.
        landing: `feed/batch` -> what lands when the producer redelivers: the damage.
        healthy_batches: had loaded clean, and been published, before the strike; oldest first.
        pending: batches whose load never ran, oldest first.
        unavailable: those of them that are announced only, oldest first: their files do not come.
        declared: `feed/batch` -> rows that the producer says it sent, each once.
        deploys: derived table -> the bad deploy of its transform.
        workers: pool slots after the strike.
        required_floor: workers required even when nothing is pending.
        damage_manifest: what was changed, and what undoes it.
        solution: the public actions that undo it, from a fresh incident to the commit; to where nothing is left to do
            but wait, if it is right to hold back.
        alerts: what monitors cry, rightly or wrongly, when the incident is open.
    """

    task: str
    profile: str
    split: Split
    seed: int
    scale: int
    held_out: bool
    clean: CleanData
    landing: Mapping[str, pd.DataFrame]
    healthy_batches: tuple[str, ...]
    pending: tuple[str, ...]
    declared: Mapping[str, int]
    deploys: Mapping[str, Deploy]
    workers: int
    required_floor: int
    damage_manifest: DamageManifest
    solution: tuple[Action, ...]
    alerts: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """What is right once everything that is there is repaired: nothing is published while something is missing."""
        return "hold" if self.unavailable else "publish"


def compile_profile(
    task: Task, profile: Profile, *, split: Split = "train", seed: int, scale: int = 1, salt: str = ""
) -> Incident:
    """Compile an incident of a profile that is at hand, registered or not.

    Raises:
        FaultError: the profile's faults do not fit the task, or one another, or find nothing to damage.
        ValueError: a scale below 1.
    """

    def streams(name: str) -> np.random.Generator:
        return stream(seed, task.slug, split, profile.name, name, salt=salt)

    drawn = _drawn(profile, streams)
    clean = clean_data_of(task.slug, seed, scale, salt, split)
    clean, damage = strike(task, clean, drawn, streams)
    floor = damage.floor or (HELD_OUT_FLOOR if profile.held_out else FLOOR)
    batches = tuple(batch.name for batch in clean.batches)
    damage.healthy = min(damage.healthy, len(batches) - damage.unavailable)
    if task.pool and not _coming(damage, len(batches)):  # nobody has been at the pool
        damage.workers = floor
    return Incident(
        task=task.slug,
        profile=profile.name,
        split=split,
        seed=seed,
        scale=scale,
        held_out=profile.held_out,
        clean=clean,
        landing={key: frame for feed in damage.feeds.values() for key, frame in _landing(feed).items()},
        healthy_batches=batches[: damage.healthy],
        pending=batches[damage.healthy :],
        unavailable=batches[len(batches) - damage.unavailable :],
        declared=_declared(damage),
        deploys=damage.deploys,
        workers=damage.workers,
        required_floor=floor,
        damage_manifest=damage_manifest_of(damage),
        solution=plan(
            task,
            damage.repairs,
            _backlog(task, damage, floor),
            refresh=_outdated(task, damage),
            publish=not damage.unavailable,
        ),
        alerts=tuple(profile.options.get("alerts", ())),
    )


def strike(
    task: Task, clean: CleanData, faults: Sequence[tuple[str, Fault]], streams: Streams
) -> tuple[CleanData, Damage]:
    """The clean data with their oddities, and the bench on which every fault has struck, in order of stages.

    A harmless oddity that the data have no room for is left out.

    Args:
        faults: each with the name of its stream.

    Raises:
        CannotStrike: a fault finds nothing to damage in these data.
        FaultError: faults do not fit the task, or one another.
    """
    for name, fault in faults:
        with _optional(fault):
            clean = fault.prelude(clean, task, streams(f"prelude/{name}"))
    damage = Damage.of(task, clean)
    for name, fault in sorted(faults, key=lambda pair: pair[1].stage):
        with _optional(fault):
            fault.strike(damage, streams(name))
    return clean, damage


@contextmanager
def _optional(fault: Fault) -> Iterator[None]:
    try:
        yield
    except CannotStrike:
        if not fault.harmless:
            raise


def _drawn(profile: Profile, streams: Streams) -> list[tuple[str, Fault]]:
    """The faults that the seed draws, each with the name of a stream of its own."""
    drawn: list[tuple[str, Fault]] = []
    for index, fault in enumerate(profile.faults):
        picked = fault.drawn(streams(f"choice/{index}"))
        drawn += [(f"fault/{index}/{each.name}", each) for each in picked]
    return drawn


def _landing(feed: Feed) -> dict[str, pd.DataFrame]:
    return {f"{feed.table.feed}/{batch}": frame for batch, frame in feed.frames().items()}


def _declared(damage: Damage) -> dict[str, int]:
    declared = {}
    for feed in damage.feeds.values():
        for index, batch in enumerate(feed.batches):
            declared[f"{feed.table.feed}/{batch}"] = int((feed.genuine & (feed.batch == index)).sum())
    return declared


def _outdated(task: Task, damage: Damage) -> bool:
    """Whether a derived table has to be computed again once all that it is computed from is repaired.

    It was not while the schedule ran on: what feeds it failed its checks. Afterwards that is as it was before the
    strike, to the byte, but for batches that came, values that were lost and columns that were added.
    """
    failing = {step.table for step in damage.repairs}
    for table in task.derived_tables:
        feeds = [damage.feeds[name] for name in table.upstream if name in damage.feeds]
        late = any(feed.table.batched and _coming(damage, len(feed.batches)) for feed in feeds)
        changed = any(feed.lost or feed.extras for feed in feeds)
        scaled = table.name in damage.deploys and bool(damage.deploys[table.name].scale)
        if late or (failing.intersection(_judged_before(task, table)) and (changed or scaled)):
            return True
    return False


def _judged_before(task: Task, table: Table) -> set[str]:
    """Tables that have to pass before a derived one is computed: those upstream, and those that these refer to."""
    found, open_ = set[str](), list(table.upstream)
    while open_:
        one = task.table(open_.pop())
        if one.name not in found:
            found.add(one.name)
            open_ += [column.references.partition(".")[0] for column in one.columns if column.references]
    return found


def _backlog(task: Task, damage: Damage, floor: int) -> Waiting:
    table = task.batched_table
    if task.pool is None or table is None:
        return Waiting(workers=damage.workers, floor=damage.workers, peak=damage.workers)
    feed = damage.feed(table.name)
    rows = [int((feed.genuine & (feed.batch == index)).sum()) for index in range(damage.healthy, len(feed.batches))]
    coming = len(_coming(damage, len(feed.batches)))
    return Waiting(
        tuple(rows[:coming]),
        damage.workers,
        floor=required_workers(len(rows) - coming, sum(rows[coming:]), floor),
        peak=required_workers(len(rows), sum(rows), floor),
    )


def _coming(damage: Damage, batches: int) -> range:
    """Places of the batches that wait and can be loaded: all after the healthy ones, but for those that never come."""
    return range(damage.healthy, batches - damage.unavailable)
