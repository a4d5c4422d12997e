"""What packages add, this one as any other: the objects behind an entry point group, each with whom it came from.

In: a group's name. Out: (owner, object) pairs, this package's first. A plugin that fails to load is left out with a
warning that names it, and the rest keeps working. Standard library only.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

TASKS, FAULTS, PROFILES = "mario_dagster.tasks", "mario_dagster.faults", "mario_dagster.profiles"

log = logging.getLogger("mario_dagster.plugins")


def installed(group: str) -> Iterator[tuple[str, Any]]:
    """Owner (`package (module:object)`) and object of each entry point of a group that loads."""
    for entry in sorted(metadata.entry_points(group=group), key=lambda each: not is_ours(each)):
        owner = (
            "mario_dagster" if is_ours(entry) else f"{entry.dist.name if entry.dist else 'a plugin'} ({entry.value})"
        )
        try:
            loaded = entry.load()
        except Exception as error:
            left_out(group, owner, f"it did not load: {type(error).__name__}: {error}")
            continue
        yield owner, loaded


def is_ours(entry: metadata.EntryPoint) -> bool:
    """Whether this package itself brings an entry point: what it brings has its name before any other's."""
    return re.split("[.:]", entry.value)[0].strip() == __name__.partition(".")[0]


def left_out(group: str, owner: str, why: str) -> None:
    """Warn that something a plugin brought is not used."""
    log.warning("%s of %s is left out: %s", group, owner, why)


def sources() -> Iterator[Path]:
    """Every source file of the packages that add tasks, faults or profiles; nothing is imported for it."""
    names = {
        re.split("[.:]", entry.value)[0].strip()
        for group in (TASKS, FAULTS, PROFILES)
        for entry in metadata.entry_points(group=group)
        if not is_ours(entry)
    }
    for name in sorted(names):
        spec = util.find_spec(name)
        if spec is None:
            continue
        if spec.submodule_search_locations:
            for folder in spec.submodule_search_locations:
                yield from sorted(Path(folder).rglob("*.py"))
        elif spec.origin:
            yield Path(spec.origin)
