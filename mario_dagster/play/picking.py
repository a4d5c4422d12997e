"""Which incident a drill is of: one that the player has not seen, of the family that was drilled least.

In: drills so far. Out: the incident to start, by its seed alone: what family the seed draws is known here and told to
nobody.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import SPLITS, Split, Task
from mario_dagster.env.options import MAX_SEED, ResetOptions
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.template_cache import Recipe

from .drills import Drill

Family = tuple[str, Split, str]


def pick(
    drills: Sequence[Drill], task: Task | None, *, held_out: bool, draws: random.Random, episode_id: str
) -> ResetOptions:
    """An incident for a drill.

    Args:
        held_out: of a family with names, formats and units that no train incident has; else of any other.

    Raises:
        UnknownName: no task has such a family.
    """
    asked = tasks() if task is None else (task,)
    families = [family for each in asked for family in _families(each, held_out)]
    if not families:
        raise UnknownName("held-out family of task" if held_out else "family of task", asked[0].slug, ())
    known = Counter(family for drill in drills for family in _family_of(drill))
    fewest = min(known[family] for family in families)
    slug, split, profile = draws.choice([family for family in families if known[family] == fewest])
    seen = {each.seed for each in drills if (each.task, each.split) == (slug, split)}
    chosen = next(each for each in tasks() if each.slug == slug)
    return ResetOptions(chosen, split, _seed(slug, split, profile, seen, draws), episode_id)


def _families(task: Task, held_out: bool) -> Iterator[Family]:
    """The families that seeds draw, split by split."""
    for split in SPLITS:
        for profile in profiles(task, split):
            if profile.held_out is held_out:
                yield task.slug, split, profile.name


def _family_of(drill: Drill) -> Iterator[Family]:
    """What a drill was of; nothing where its task is not installed any more."""
    try:
        recipe = Recipe.of(drill.task, profile=None, split=drill.split, seed=drill.seed, scale=1)
    except UnknownName:
        return
    yield recipe.task, recipe.split, recipe.profile


def _seed(slug: str, split: Split, profile: str, seen: set[int], draws: random.Random) -> int:
    """A seed that draws the family, and that was not drilled."""
    while True:
        seed = draws.randint(0, MAX_SEED)
        if seed not in seen and Recipe.of(slug, profile=None, split=split, seed=seed, scale=1).profile == profile:
            return seed
