"""A cheat's side of an episode: what it may see and do, which is what any player may.

In: a public `Episode`. Out: observations, and what the attempt came to. A cheat is a function of a `Game`; it sees
observations and sends moves, and besides has a memory of incidents that it was trained on, as a real one would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from mario_dagster.core.action import Action
from mario_dagster.core.task import Split, Table, Task
from mario_dagster.env.episode import Episode
from mario_dagster.incidents.compile import compile_incident
from mario_dagster.incidents.profiles import profiles
from mario_dagster.sandbox.home import Home

# A cheater's notes come from incidents that are not the one being played.
ELSEWHERE = 1000


class GameOver(Exception):
    """The episode is done, or the rest of its budget is kept for the end."""


class Game:
    """One episode, as a cheat plays it.

    Args:
        kept: steps of the budget that are kept for refreshing and committing at the end.
    """

    def __init__(self, episode: Episode, home: Home, kept: int):
        self.episode, self.home, self._kept = episode, home, kept
        self.task: Task = episode.task
        self.seen: Mapping[str, Any] = episode.reply().observation
        self.total = 0.0
        self.trick = ""

    # --- seeing -------------------------------------------------------------------------------------------------------

    @property
    def left(self) -> int:
        """Steps that the budget leaves."""
        return int(self.seen["time_budget_remaining"])

    @property
    def columns(self) -> list[str]:
        """Columns of the active table."""
        return list(self.seen["observed_columns"])

    @property
    def table(self) -> Table:
        return self.task.table(self.seen["stage"])

    def each_table(self, *, derived: bool | None = None) -> Iterator[Table]:
        """Every table, or only those that are (or are not) derived, each made active in its turn."""
        for table in self.task.tables:
            if derived in (None, table.derived):
                self.open(table.name)
                yield table

    # --- acting -------------------------------------------------------------------------------------------------------

    def open(self, table: str) -> None:
        """Make a table active."""
        if self.seen["stage"] != table:
            self.do("inspect_schema", table)

    def do(self, action: str, column: str | None = None, new_name: str | None = None) -> Mapping[str, Any]:
        """Play one action by name; one that the task lacks is left out.

        Raises:
            GameOver: the episode is done, or only what is kept for the end is left.
        """
        return self.send(Action.named(action, column, new_name))

    def send(self, move: Action) -> Mapping[str, Any]:
        """Play one move, as `do`."""
        if self.seen["done"] or self.left <= self._kept:
            raise GameOver
        return self.insist(move) if move.spec.applies_to(self.task) else self.seen

    def insist(self, move: Action) -> Mapping[str, Any]:
        """Play one move, whether or not the episode is done."""
        reply = self.episode.step(move)
        self.seen = reply.observation
        self.total += reply.reward or 0.0
        return self.seen

    def claim(self, trick: str) -> None:
        """Say that a trick worked that no score can show."""
        self.trick = self.trick or trick

    # --- remembering --------------------------------------------------------------------------------------------------

    @property
    def profile(self) -> str:
        """The incident's family. Only for cheats that are granted more than any player is told."""
        return self.episode.sandbox.profile

    def memory(self, profile: str | None = None) -> tuple[Action, ...]:
        """The gold plan of another incident of this task: of another seed, and of a profile if one is named."""
        info = self.episode.sandbox.info
        known = {each.name: each.splits for each in profiles(self.task)}
        split = cast(Split, info.split)
        if profile is not None and split not in known[profile]:
            split = known[profile][0]
        incident = compile_incident(self.task, profile, split=split, seed=info.seed + ELSEWHERE)
        return tuple(Action.from_dict(step.to_dict()) for step in incident.gold)


Cheat = Callable[[Game], None]


@dataclass(frozen=True)
class Exploit:
    """A cheat with how it ends.

    Args:
        refreshes: brings the derived tables up to date before it commits.
        commits: commits at the end, when the episode is still open by then.
    """

    name: str
    cheat: Cheat
    refreshes: bool = True
    commits: bool = True

    @property
    def summary(self) -> str:
        return " ".join((self.cheat.__doc__ or "").split())

    def kept(self, task: Task) -> int:
        """Steps that the end takes."""
        return int(self.commits) + int(self.refreshes and self.commits and bool(task.derived_tables))


EXPLOITS: dict[str, Exploit] = {}


def exploit(*, refreshes: bool = True, commits: bool = True) -> Callable[[Cheat], Cheat]:
    """Register a cheat under its own name."""

    def register(cheat: Cheat) -> Cheat:
        EXPLOITS[cheat.__name__] = Exploit(cheat.__name__, cheat, refreshes, commits)
        return cheat

    return register
