"""What a player is: `Policy`, which turns an observation into a `Action`.

In: an observation as a plain mapping, as any client receives it. Out: one action's fields. A policy sees nothing else:
no sandbox, no seed of the incident, no catalogue of what may go wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mario_dagster.core.action import Action

__all__ = ["Action", "Observation", "Policy"]

Observation = Mapping[str, Any]


class Policy(Protocol):
    """A player of one episode at a time, as `mario_dagster.env.players.player` makes it by name."""

    def begin(self, seed: int) -> None:
        """Forget the last episode. `seed` is the player's own, for its random choices."""

    def choose(self, observation: Observation) -> Action:
        """The next action, given the newest observation of this episode."""
