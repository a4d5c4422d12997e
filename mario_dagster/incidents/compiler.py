"""The compiler: profile and seed become an incident: concrete damage, a ledger of it, the plan that undoes it.

In: a task, a profile (or a seed that draws one), a split, a scale. Out: an `Incident`. The producer redelivers every
batch under its new schema, so that a drift is in all of them alike; the pipeline had loaded the first few batches when
it struck, and the others wait. The same arguments give the same incident on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mario_dagster import catalog
from mario_dagster.assets.shop import CleanWorld, clean_world
from mario_dagster.catalog import Profile, Split, Task, required_workers
from mario_dagster.catalog.deploy import Deploy
from mario_dagster.randomness import stream

from .damage import Damage, Feed
from .faults import Fault
from .ledger import Ledger
from .profiles import choose
from .records import ledger_of
from .steps import Backlog, Step, plan

Streams = Callable[[str], np.random.Generator]

FLOOR, HELD_OUT_FLOOR = 2, 3


@dataclass(frozen=True)
class Incident:
    """One incident, compiled.

    Args:
        clean: what the producers really sent: the truth.
        landing: `feed/batch` -> what lands when the producer redelivers: the damage.
        healthy_batches: had loaded clean, and been published, before the strike; oldest first.
        pending: batches whose load never ran, oldest first.
        declared: `feed/batch` -> rows that the producer says it sent, each once.
        deploys: derived table -> the bad deploy of its transform.
        workers: pool slots after the strike.
        required_floor: workers required even when nothing is pending.
        ledger: what was changed, and what undoes it.
        gold: the public actions that undo it, from a fresh incident to the commit.
    """

    task: str
    profile: str
    split: Split
    seed: int
    scale: int
    held_out: bool
    clean: CleanWorld
    landing: Mapping[str, pd.DataFrame]
    healthy_batches: tuple[str, ...]
    pending: tuple[str, ...]
    declared: Mapping[str, int]
    deploys: Mapping[str, Deploy]
    workers: int
    required_floor: int
    ledger: Ledger
    gold: tuple[Step, ...]


def compile_incident(
    task: object,
    profile: str | None = None,
    *,
    split: Split = "train",
    seed: int,
    scale: int = 1,
    salt: str = "",
) -> Incident:
    """Compile an incident.

    Args:
        task: what `catalog.task` takes.
        profile: a name; None lets the seed draw one of the split's.
        salt: secret of a sealed evaluation; it enters eval streams only.

    Raises:
        UnknownName: no such task, split, or profile in that split of that task.
        ValueError: a scale below 1.
    """
    found = catalog.task(task)
    salt = salt if split == "eval" else ""
    chosen = choose(found, split, seed, profile, salt)
    clean = clean_world(found.slug, seed, scale, salt, split)
    damage = Damage.of(found, clean)
    _strike(damage, chosen, lambda name: stream(seed, found.slug, split, chosen.name, name, salt=salt))
    floor = HELD_OUT_FLOOR if chosen.held_out else FLOOR
    batches = tuple(batch.name for batch in clean.batches)
    declared = _declared(damage)
    return Incident(
        task=found.slug,
        profile=chosen.name,
        split=split,
        seed=seed,
        scale=scale,
        held_out=chosen.held_out,
        clean=clean,
        landing={key: frame for feed in damage.feeds.values() for key, frame in _landing(feed).items()},
        healthy_batches=batches[: damage.healthy],
        pending=batches[damage.healthy :],
        declared=declared,
        deploys=damage.deploys,
        workers=damage.workers,
        required_floor=floor,
        ledger=ledger_of(damage),
        gold=plan(found, damage.repairs, _backlog(found, damage, floor)),
    )


def _strike(damage: Damage, profile: Profile, streams: Streams) -> None:
    """Draw the faults, then let each strike in its stage, with a stream of its own."""
    drawn: list[tuple[str, Fault]] = []
    for index, fault in enumerate(profile.faults):
        picked = fault.drawn(streams(f"choice/{index}"))
        drawn += [(f"fault/{index}/{each.name}", each) for each in picked]
    for name, fault in sorted(drawn, key=lambda pair: pair[1].stage):
        fault.strike(damage, streams(name))


def _landing(feed: Feed) -> dict[str, pd.DataFrame]:
    return {f"{feed.table.feed}/{batch}": frame for batch, frame in feed.frames().items()}


def _declared(damage: Damage) -> dict[str, int]:
    declared = {}
    for feed in damage.feeds.values():
        for index, batch in enumerate(feed.batches):
            declared[f"{feed.table.feed}/{batch}"] = int((feed.genuine & (feed.batch == index)).sum())
    return declared


def _backlog(task: Task, damage: Damage, floor: int) -> Backlog:
    table = task.batched_table
    if task.pool is None or table is None:
        return Backlog(workers=damage.workers, floor=damage.workers, peak=damage.workers)
    feed = damage.feed(table.name)
    rows = tuple(
        int((feed.genuine & (feed.batch == index)).sum()) for index in range(damage.healthy, len(feed.batches))
    )
    return Backlog(rows, damage.workers, floor, required_workers(len(rows), sum(rows), floor))
