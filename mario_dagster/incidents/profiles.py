"""The registry of profiles: `profiles(task, split)`, `profile(name)`, `draw(task, split, seed)`.

In: the families beside this file and the entry points `mario_dagster.profiles` of installed plugins (each names a
`Profile` or an iterable of them). Out: frozen `Profile` values.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from mario_dagster import catalog
from mario_dagster.catalog import SPLITS, Profile, Split, UnknownName
from mario_dagster.randomness import stream

from .families import events, incremental, ingestion, referential, temporal

ENTRY_POINT = "mario_dagster.profiles"
BUILT_IN: tuple[Profile, ...] = (
    *ingestion.PROFILES,
    *events.PROFILES,
    *referential.PROFILES,
    *incremental.PROFILES,
    *temporal.PROFILES,
)


def profiles(task: object = None, split: str | None = None) -> tuple[Profile, ...]:
    """Profiles in order of registration, of one task or split where that is given.

    Raises:
        UnknownName: no such task or split.
    """
    slug = catalog.task(task).slug if task is not None else None
    if split is not None and split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    return tuple(each for each in _registry() if slug in (None, each.task) and (split is None or split in each.splits))


def profile(name: str) -> Profile:
    """The profile of that name. Raises `UnknownName` when there is none."""
    return _named(name, _registry())


def choose(task: object, split: Split, seed: int, name: str | None = None, salt: str = "") -> Profile:
    """The profile named, or else the one that the seed draws.

    Raises:
        UnknownName: no such task or split, or no profile of that name in that split of that task.
    """
    return draw(task, split, seed, salt) if name is None else _named(name, profiles(task, split))


def draw(task: object, split: Split, seed: int, salt: str = "") -> Profile:
    """The profile that a seed draws, each of the split's alike."""
    open_ = profiles(task, split)
    slug = catalog.task(task).slug
    if not open_:
        raise UnknownName(f"{split} profile of task", slug, ())
    return open_[int(stream(seed, slug, split, "profile", salt=salt).integers(len(open_)))]


def _named(name: str, among: Iterable[Profile]) -> Profile:
    known = {each.name: each for each in among}
    if name not in known:
        raise UnknownName("profile", name, known)
    return known[name]


@cache
def _registry() -> tuple[Profile, ...]:
    found = {each.name: each for each in BUILT_IN}
    for entry in metadata.entry_points(group=ENTRY_POINT):
        try:
            loaded = entry.load()
            added = (loaded,) if isinstance(loaded, Profile) else tuple(loaded)
        except Exception as error:
            logging.getLogger(__name__).warning("profile plugin '%s' did not load: %s", entry.value, error)
            continue
        for each in added:
            if each.name in found:
                logging.getLogger(__name__).warning(
                    "profile plugin '%s': '%s' is taken: left out", entry.value, each.name
                )
                continue
            found[each.name] = each
    return tuple(found.values())
