"""Every fault: those of the modules beside this file, which are found by looking, and those of installed plugins.

In: the modules beside this file and the entry points `mario_dagster.faults` (each names a module or a fault class).
Out: `faults()` and `fault("renamed_columns")`. Importing a module of a fault registers what it defines.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from mario_dagster.core.entry_points import FAULTS, installed
from mario_dagster.core.errors import UnknownName

from .base import Fault, registered


def faults() -> Mapping[str, type[Fault]]:
    """Every fault by name, plugins' included. A plugin that fails to load is left out with a warning."""
    _load()
    return registered()


def fault(name: str) -> type[Fault]:
    """The fault of that name. Raises `UnknownName` when there is none."""
    known = faults()
    if name not in known:
        raise UnknownName("fault", name, known)
    return known[name]


@cache
def _load() -> None:
    """Import every fault: one is registered by being defined, and refused if its name is taken."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    for _ in installed(FAULTS):
        pass
