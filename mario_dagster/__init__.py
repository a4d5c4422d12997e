"""Mario the Plumber on Dagster: data-pipeline incidents that happen on real asset graphs, to be repaired.

In: nothing at import. Out: `__version__`, and the few names most users want, each loaded when first asked for: Dagster
and OpenEnv cost seconds to import, and most commands need neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .env.client import MarioEnv
    from .env.models import MarioAction, MarioObservation, MarioState
    from .sandbox.sandbox import Sandbox

__version__ = "0.1.0"
__all__ = ["MarioAction", "MarioEnv", "MarioObservation", "MarioState", "Sandbox", "__version__"]

_HOMES = {
    "MarioAction": "mario_dagster.env.models",
    "MarioEnv": "mario_dagster.env.client",
    "MarioObservation": "mario_dagster.env.models",
    "MarioState": "mario_dagster.env.models",
    "Sandbox": "mario_dagster.sandbox.sandbox",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
