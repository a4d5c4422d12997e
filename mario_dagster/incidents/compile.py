"""The compiler: profile and seed become an incident: concrete damage, a damage manifest of it, the plan that undoes it.

In: a task, a profile's name (or a seed that draws one), a split, a scale. Out: an `Incident`. The same arguments give
the same incident on any machine.
"""

from __future__ import annotations

from mario_dagster.core import registry
from mario_dagster.core.task import Split

from .assembly import Incident, compile_profile
from .profiles import choose

__all__ = ["Incident", "compile_incident", "compile_profile"]


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
        task: what `registry.task` takes.
        profile: a name; None lets the seed draw one of the split's.
        salt: secret of a sealed evaluation; it enters eval streams only.

    Raises:
        UnknownName: no such task, split, or profile in that split of that task.
        ValueError: a scale below 1.
    """
    found = registry.task(task)
    salt = salt if split == "eval" else ""
    chosen = choose(found, split, seed, profile, salt)
    return compile_profile(found, chosen, split=split, seed=seed, scale=scale, salt=salt)
