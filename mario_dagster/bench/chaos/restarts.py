"""Every kind of incident played twice in this process: by one episode, and by a new one before every action.

In: tasks and profiles. Out: a count of episodes whose observations differ. Nothing that a process keeps helps the
second time: caches are dropped as well, so that what was stored is all that there is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from mario_dagster.bench.proofs import Case, workers
from mario_dagster.core.action import Action
from mario_dagster.core.registry import task as find_task
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import Split
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home
from mario_dagster.tables.content_cache import MEMO

from .ends import differences, end_of
from .script import Script, script
from .tally import Tally

SPLITS: tuple[Split, ...] = ("train", "eval")


def restarts(root: Path, seed: int, cases: Sequence[Case] | None = None) -> Tally:
    """Play every case both ways, in two processes."""
    tally = Tally("restarts")
    with workers() as pool:
        for future in as_completed([pool.submit(_differing, case, root) for case in cases or every_case(seed)]):
            steps, found = future.result()
            tally.add("episodes")
            tally.add("steps", steps)
            if found:
                tally.add("differing", note=found)
    return tally


def every_case(seed: int) -> list[Case]:
    """Every task, profile and split, under one seed; the longest first."""
    return [
        Case(each.slug, profile.name, split, seed)
        for each in sorted(tasks(), key=lambda one: -one.max_steps)
        for by_name_only in (False, True)
        for split in SPLITS
        for profile in profiles(each, split, by_name_only=by_name_only)
    ]


def differing(case: Case, home: Home) -> tuple[int, str]:
    """Steps of a case, and in what its two plays differ; empty when in nothing."""
    draw = f"restarts/{case}"
    written = script(
        "chaos-restarts", find_task(case.task), profile=case.profile, split=case.split, seed=case.seed, draw=draw
    )
    once = list(_played(written, home, restarted=False))
    end = end_of(home, written.id, {})
    home.remove(written.id)
    again = list(_played(written, home, restarted=True))
    found = differences(end, end_of(home, written.id, {}))
    place = next((place for place, (one, two) in enumerate(zip(once, again, strict=False)) if one != two), None)
    if place is not None or len(once) != len(again):
        found.insert(
            0, f"observation {place} of {len(once)} and {len(again)} {written.actions[max(0, (place or 0) - 1)]}"
        )
    return len(once) - 1, f"{case}: {'; '.join(found)}" if found else ""


def forget() -> None:
    """Drop what this process keeps of tables: only what is stored is left."""
    MEMO.clear()


def _differing(case: Case, root: Path) -> tuple[int, str]:
    folder = root / f"{os.getpid()}"
    try:
        return differing(case, Home(folder))
    except Exception as error:
        return 0, f"{case}: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _played(written: Script, home: Home, *, restarted: bool) -> Iterator[str]:
    """The observations of a play, from the reset's on, as text."""
    episode = Episode.start(reset_options(written.reset), home=home)
    try:
        said = episode.reply()
        yield _text(said.observation)
        for action in written.actions:
            if restarted:
                episode.close()
                forget()
                episode = Episode.resume(written.id, home)
            said = episode.step(Action.from_dict(action))
            yield _text(said.observation)
            if said.done:
                break
    finally:
        episode.close()


def _text(observation: object) -> str:
    return json.dumps(observation, sort_keys=True)
