"""Players that a server can be asked to run: whatever policies the installed packages offer.

In: entry points of the group `mario_dagster.policies`, each a class with `begin(seed)` and `choose(observation)`. Out:
episodes they played. The facade knows no policy by itself, so that policies stay on the outside of the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any, Protocol

from mario_dagster.core.action import Action

from .arguments import likeliest, quoted
from .episode import Episode
from .errors import NoPlayer
from .options import ResetOptions

GROUP = "mario_dagster.policies"


class Player(Protocol):
    """What an entry point's class makes: a policy that is told observations and answers with moves."""

    def begin(self, seed: int) -> None: ...

    def choose(self, observation: Mapping[str, Any]) -> Any: ...


def installed() -> dict[str, metadata.EntryPoint]:
    """The players that the installed packages offer, by name."""
    return {entry.name: entry for entry in sorted(metadata.entry_points(group=GROUP), key=lambda each: each.name)}


def player_named(name: object) -> str:
    """The name, if it is one that a player goes by.

    Raises:
        NoPlayer: no installed package offers it; the message lists those that are there.
    """
    names = tuple(installed())
    if not isinstance(name, str) or name not in names:
        hint = likeliest(name, names)
        raise NoPlayer(f"no policy {quoted(name)} is installed; installed: {', '.join(names) or 'none'}{hint}")
    return name


def player(name: object) -> Player:
    """A new player by name. Raises `NoPlayer` where there is none such."""
    made: Player = installed()[player_named(name)].load()()
    return made


def play(name: object, options: ResetOptions) -> dict[str, Any]:
    """One episode played to its end by a player of that name, as the grader tells it."""
    chosen = player(name)
    chosen.begin(options.seed)
    episode = Episode.start(options, via="baseline")
    try:
        reply = episode.reply()
        while not reply.done:
            fields = chosen.choose(reply.observation).to_dict()
            reply = episode.step(Action.from_dict(fields))
        return {**episode.summary(), "policy": name}
    finally:
        episode.close()
