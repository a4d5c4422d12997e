"""One episode, played in a thread of its own, so that the screen stays awake while Dagster runs.

In: which incident to start or go on with, then actions. Out: `Seen`: the newest observation, the steps so far, and,
once it is over, the grade. What the journal has beside them stays behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mario_dagster.core.action import Action
from mario_dagster.core.run_tags import AGENT
from mario_dagster.env.reward import shown

if TYPE_CHECKING:
    from mario_dagster.env.episode import Episode
    from mario_dagster.env.options import ResetOptions

Result = TypeVar("Result")


@dataclass(frozen=True)
class Turn:
    """One line of an episode, as far as its player was told it.

    Args:
        step: the player's steps by then; 0 is the incident itself.
        action: None for the incident, and for an act of a person that is no action.
        table: the table that is active after it.
        actor: whether the player did it, or an engineer in the Dagster UI.
    """

    step: int
    name: str
    action: Action | None
    table: str
    result: str
    score: float
    reward: float | None = None
    actor: str = AGENT


@dataclass(frozen=True)
class Incident:
    """What is said of an incident before anything is done: never its family."""

    task: str
    split: str
    seed: int
    scale: int
    feedback: str
    threshold: float
    max_steps: int


@dataclass(frozen=True)
class Seen:
    """All that a player knows.

    Args:
        ending: the grade, once the episode is over.
    """

    episode_id: str
    incident: Incident
    observation: Mapping[str, Any]
    turns: tuple[Turn, ...]
    ending: Mapping[str, Any] | None = None

    @property
    def done(self) -> bool:
        return bool(self.observation["done"])

    @property
    def steps(self) -> int:
        return int(self.observation["steps_taken"])


def turns(lines: Iterable[Mapping[str, Any]]) -> tuple[Turn, ...]:
    """The lines of an episode's journal, less what a player is not told."""
    return tuple(_turn(line) for line in lines)


def _turn(line: Mapping[str, Any]) -> Turn:
    action = line.get("action")
    return Turn(
        step=int(line.get("step", 0)),
        name=str(line.get("name", "the incident strikes")),
        action=Action.from_dict(action) if action else None,
        table=str(line["active_table"]),
        result=str(line["result"]),
        score=shown(line["score"]),
        reward=line.get("reward"),
        actor=str(line.get("actor", AGENT)),
    )


class Session:
    """The episode behind a screen; every call is answered once its thread has done it, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="episode")
        self._episode: Episode | None = None

    async def start(self, options: ResetOptions) -> Seen:
        """Break a fresh pipeline. Raises `PlayError` where there is no such incident."""
        return await self._do(lambda: self._begin(lambda kind: kind.start(options)))

    async def resume(self, id: str) -> Seen:
        """Go on with an episode. Raises `NoEpisode` where there is none of that id."""
        return await self._do(lambda: self._begin(lambda kind: kind.resume(id)))

    async def step(self, action: Action) -> Seen:
        """Play one action."""
        return await self._do(lambda: self._seen(self._playing.step(action).observation))

    async def look(self) -> Seen:
        """How it stands now, whatever others have done meanwhile; costs no step."""
        return await self._do(lambda: self._seen(self._playing.reply().observation))

    async def close(self) -> None:
        """Let go of the episode once what is under way is done; it can be resumed."""
        await self._do(self._let_go)
        self._thread.shutdown(wait=False)

    def _let_go(self) -> None:
        if self._episode is not None:
            self._episode.close()

    async def _do(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _begin(self, made: Callable[[type[Episode]], Episode]) -> Seen:
        # Here, in the thread: this loads Dagster.
        from mario_dagster.env.episode import Episode

        self._episode = made(Episode)
        return self._seen(self._episode.reply().observation)

    @property
    def _playing(self) -> Episode:
        if self._episode is None:
            raise RuntimeError("no episode has been started")
        return self._episode

    def _seen(self, observation: Mapping[str, Any]) -> Seen:
        episode = self._playing
        state, task = episode.state(), episode.task
        facts = {name: state[name] for name in ("seed", "scale", "feedback", "max_steps")}
        incident = Incident(task=task.slug, split=state["scenario_split"], threshold=task.threshold, **facts)
        ending = episode.summary() if observation["done"] else None
        return Seen(episode.id, incident, observation, turns(episode.sandbox.steps), ending)
