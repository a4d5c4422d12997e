"""Players. `policy("heuristic")` makes one; each module is loaded when its player is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from mario_dagster.catalog import UnknownName

if TYPE_CHECKING:
    from .base import Policy

POLICIES = {
    "heuristic": "mario_dagster.policies.heuristic:HeuristicPolicy",
    "random": "mario_dagster.policies.chance:RandomPolicy",
}


def policy(name: str) -> Policy:
    """A new player of that name. Raises `UnknownName` for one that does not exist."""
    if name not in POLICIES:
        raise UnknownName("policy", name, POLICIES)
    module, _, kind = POLICIES[name].partition(":")
    return cast("Policy", getattr(import_module(module), kind)())
