"""Which profile an incident is of: the one named, or the one that the seed draws.

In: a task, a split, a seed, and perhaps a name: a registered profile's, or a composed one's (`composed:hard`). Out: a
frozen `Profile`.
"""

from __future__ import annotations

from mario_dagster.core import registry
from mario_dagster.core.errors import UnknownName
from mario_dagster.core.task import Profile, Split
from mario_dagster.tables.random_streams import stream

from .compose import described, is_composed, profile_of
from .registry import named, profiles, registered

__all__ = ["choose", "draw", "profile", "profiles"]


def profile(name: str) -> Profile:
    """The profile of that name; of a composed one (`composed:hard`), what can be said without its seed.

    Raises:
        UnknownName: there is none.
    """
    return described(name) if is_composed(name) else named(name, registered())


def choose(task: object, split: Split, seed: int, name: str | None = None, salt: str = "") -> Profile:
    """The profile named, or else the one that the seed draws. A composed one is for train, and made from the seed.

    Raises:
        UnknownName: no such task or split, or no profile of that name in that split of that task.
        FaultError: the faults that a composed name lists do not fit the task, or one another.
    """
    if name is None:
        return draw(task, split, seed, salt)
    if split == "train" and is_composed(name):
        return profile_of(registry.task(task), name, seed)
    return named(name, (*profiles(task, split), *profiles(task, split, by_name_only=True)))


def draw(task: object, split: Split, seed: int, salt: str = "") -> Profile:
    """The profile that a seed draws, each of the split's alike."""
    open_ = profiles(task, split)
    slug = registry.task(task).slug
    if not open_:
        raise UnknownName(f"{split} profile of task", slug, ())
    return open_[int(stream(seed, slug, split, "profile", salt=salt).integers(len(open_)))]
