"""The registry of profiles: those of every installed package, this one as any other.

In: the entry points `mario_dagster.profiles` (each names a `Profile` or an iterable of them). Out:
`profiles(task, split)`, frozen values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from mario_dagster.core import registry
from mario_dagster.core.entry_points import PROFILES, installed, left_out
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.task import SPLITS, Profile

from .damage import FaultError


def profiles(task: object = None, split: str | None = None, by_name_only: bool = False) -> tuple[Profile, ...]:
    """Profiles in order of their tasks and of registration, of one task or split where that is given.

    Args:
        by_name_only: those that no seed draws, which have to be asked for, instead of those that seeds draw.

    Raises:
        UnknownName: no such task or split.
    """
    slug = registry.task(task).slug if task is not None else None
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
    """Every profile, those included that no seed draws. What a package brings and cannot be used is left out."""
    found: dict[str, Profile] = {}
    owners: dict[str, str] = {}
    for owner, loaded in installed(PROFILES):
        for each in [loaded] if isinstance(loaded, Profile) or not isinstance(loaded, Iterable) else loaded:
            if why := _unusable(each, owners):
                left_out(PROFILES, owner, why)
            else:
                found[each.name], owners[each.name] = each, owner
    return tuple(sorted(found.values(), key=lambda each: registry.task(each.task).id))


def _unusable(each: object, owners: Mapping[str, str]) -> str:
    """Why something cannot be a profile beside those there are; empty where it can."""
    if not isinstance(each, Profile):
        return f"it is a {type(each).__name__}, not a Profile"
    if each.name in owners:
        return f"profile '{each.name}' is a name that {owners[each.name]} has"
    try:
        found = registry.task(each.task)
        for one in each.faults:
            for _ in one.conflicts(found):
                pass
    except (UnknownName, FaultError) as error:
        return f"profile '{each.name}': {error}"
    return ""
