"""The registry of profiles: those of the families beside this file, and those of installed plugins.

In: the families and the entry points `mario_dagster.profiles` (each names a `Profile` or an iterable of them). Out:
`profiles(task, split)`, frozen values.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from mario_dagster import catalog
from mario_dagster.catalog import SPLITS, Profile, UnknownName

from .families import events, incremental, ingestion, judgement, referential, temporal

ENTRY_POINT = "mario_dagster.profiles"
BUILT_IN: tuple[Profile, ...] = (
    *ingestion.PROFILES,
    *events.PROFILES,
    *referential.PROFILES,
    *incremental.PROFILES,
    *temporal.PROFILES,
)


def profiles(task: object = None, split: str | None = None, by_name_only: bool = False) -> tuple[Profile, ...]:
    """Profiles in order of registration, of one task or split where that is given.

    Args:
        by_name_only: those that no seed draws, which have to be asked for, instead of those that seeds draw.

    Raises:
        UnknownName: no such task or split.
    """
    slug = catalog.task(task).slug if task is not None else None
    if split is not None and split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
    return tuple(
        each
        for each in registered()
        if slug in (None, each.task)
        and (split is None or split in each.splits)
        and bool(each.options.get("by_name_only")) is by_name_only
    )


def named(name: str, among: Iterable[Profile]) -> Profile:
    """The profile of that name. Raises `UnknownName` when none of these has it."""
    known = {each.name: each for each in among}
    if name not in known:
        raise UnknownName("profile", name, known)
    return known[name]


@cache
def registered() -> tuple[Profile, ...]:
    """Every profile, those included that no seed draws."""
    found = {each.name: each for each in (*BUILT_IN, *judgement.PROFILES)}
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
