"""What is saved where we do not leave a thing to Dagster: `mario bench ablation`.

In: this machine. Out: a row for each restated function of Dagster's, or small group that makes sense together only: CPU
milliseconds of a mutating step with ours, and with Dagster's own in its place. Incidents are played by their solution
plans, once a variant, step by step in turn, so that what else the machine does meets all alike. A function that saves
less than `WORTH` milliseconds is not worth restating.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster import AssetKey, DagsterInstance, EventLogEntry, JobDefinition

from mario_dagster.checks.audit import preload
from mario_dagster.core.action import Action, ActionId
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.runtime import instance as instances
from mario_dagster.runtime.storage import SandboxEventLogStorage, SandboxRunStorage
from mario_dagster.sandbox.home import Home
from mario_dagster.tables.content_cache import CONTENT_CACHE, ContentCache

WORTH = 3.0
TASKS = ("ingestion", "referential", "temporal")
VALIDATE = 14
OURS = "as built"


@dataclass(frozen=True)
class Variant:
    """Functions that stand or fall together, taken out.

    Args:
        restates: how many functions of Dagster's are stated again in them; 0 where Dagster's own is only asked less.
        functions: what is taken out, as (class or module, name); the one that a class inherits takes its place.
        stock: by name, what takes its place where none is inherited.
    """

    name: str
    restates: int
    functions: tuple[tuple[Any, str], ...]
    stock: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Dagster's own functions in place of ours."""
        with ExitStack() as back:
            for owner, name in self.functions:
                back.callback(setattr, owner, name, vars(owner)[name])
                if name in self.stock:
                    setattr(owner, name, self.stock[name])
                else:
                    delattr(owner, name)
            yield


def _stock_check(
    self: SandboxEventLogStorage, driver: sqlite3.Connection, event: EventLogEntry, event_id: int, *_: str
) -> None:
    self.store_asset_check_event(event, event_id)


def _stock_prepared(job_def: JobDefinition) -> instances.PreparedJob:
    """A prepared job that remembers nothing but the job it was made of."""
    prepared = _PREPARED(job_def)
    return instances.PreparedJob(prepared.source, prepared.source, prepared.default_config, prepared.pools)


def _stock_execution(
    *,
    run_config: Mapping[str, object],
    job: Any,
    instance: DagsterInstance,
    output_capturing_enabled: bool,
    raise_on_error: bool,
    run_tags: Mapping[str, str],
    asset_selection: frozenset[AssetKey],
) -> Any:
    return job.get_definition().execute_in_process(
        run_config=run_config,
        instance=instance,
        raise_on_error=raise_on_error,
        tags=run_tags,
        asset_selection=sorted(asset_selection) or None,
    )


_PREPARED = instances.prepared
_EVENTS, _RUNS = SandboxEventLogStorage, SandboxRunStorage
VARIANTS = (
    Variant("all that an event writes", 9, ((_EVENTS, "store_event"),)),
    Variant("  of it, rows of asset checks", 4, ((_EVENTS, "_store_check"),), {"_store_check": _stock_check}),
    Variant(
        "answers about the schema, kept",
        0,
        (
            (_EVENTS, "has_table"),
            (_EVENTS, "has_asset_key_col"),
            (_RUNS, "has_run_stats_index_cols"),
            (_RUNS, "has_backfill_id_column"),
        ),
    ),
    Variant(
        "a job's form for runs in process, kept",
        0,
        ((instances, "prepared"), (instances, "core_execute_in_process")),
        {"prepared": _stock_prepared, "core_execute_in_process": _stock_execution},
    ),
)


@dataclass(frozen=True)
class Row:
    """What a variant costs, in CPU milliseconds of a mutating step, beside what the package costs as built."""

    name: str
    restates: int
    ours: float
    stock: float

    @property
    def saved(self) -> float:
        return self.stock - self.ours

    @property
    def worth_it(self) -> bool | None:
        """Whether restating it pays; None where nothing is restated."""
        return self.saved >= WORTH if self.restates else None


class Player:
    """One episode played with some functions taken out; what it computes for a content is kept for itself alone."""

    def __init__(self, variant: Variant, task: str, seed: int, home: Home):
        self._variant = variant
        self._cache = ContentCache()
        with self._as_itself():
            self.episode = Episode.start(reset_options({"task": task, "seed": seed}), home=home)
            self.episode.reply()

    def play(self, move: Action) -> float:
        """CPU milliseconds of this thread for a step."""
        with self._as_itself():
            begun = time.thread_time()
            self.episode.step(move)
            return (time.thread_time() - begun) * 1000

    def plan(self) -> list[Action]:
        """The solution's mutating moves: an audit, a third of a second of Great Expectations, would drown the rest."""
        moves = [Action.from_dict(fields) for fields in self.episode.sandbox.truth_store.solution]
        return [move for move in moves if move.id not in (VALIDATE, ActionId.COMMIT_CHANGES)]

    @contextmanager
    def _as_itself(self) -> Iterator[None]:
        with CONTENT_CACHE.set_aside(self._cache), self._variant.applied():
            yield


def play(variants: tuple[Variant, ...], task: str, seed: int, home: Home, turn: int = 0) -> list[dict[str, float]]:
    """One incident played by every variant; of each step, what it cost whom. Who goes first changes step by step."""
    players = {variant.name: Player(variant, task, seed, home) for variant in variants}
    names, costs = list(players), []
    for number, move in enumerate(players[names[0]].plan()):
        first = (number + turn) % len(names)
        costs.append({name: players[name].play(move) for name in names[first:] + names[:first]})
    for player in players.values():
        player.episode.close()
    return costs


def measure(home: Home, rounds: int, seed: int) -> Iterator[list[Mapping[str, float]]]:
    """Task by task, of each step what it cost whom: the median over the rounds."""
    preload()
    variants = (Variant(OURS, 0, ()), *VARIANTS)
    for task in TASKS:
        # Not counted: the incident is lived through, modules are loaded.
        play(variants, task, seed, home)
        gc.collect()
        gc.freeze()
        played = [play(variants, task, seed, home, turn) for turn in range(rounds)]
        yield [
            {name: statistics.median(cost[name] for cost in step) for name in step[0]}
            for step in zip(*played, strict=True)
        ]


def rows(measured: Iterable[list[Mapping[str, float]]]) -> list[Row]:
    """Each variant's mean over the steps of all tasks."""
    steps = [step for task in measured for step in task]
    means = {name: statistics.fmean(step[name] for step in steps) for name in steps[0]}
    return [Row(variant.name, variant.restates, means[OURS], means[variant.name]) for variant in VARIANTS]
