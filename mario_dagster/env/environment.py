"""The OpenEnv environment: one session's `reset`, `step` and `state` over an `Episode`.

In: what OpenEnv's server or a caller in process passes. Out: `MarioObservation` and `MarioState`. Both calls block
(they run Dagster); OpenEnv gives each `/ws` session a thread of its own for them. Nothing is set up before the first
reset: OpenEnv constructs environments for every request that asks about one.
"""

from __future__ import annotations

from typing import Any

from mario_dagster import __version__

from .actions import Move
from .episode import Episode, Reply
from .errors import BadRequest, NotStarted
from .models import MarioAction, MarioObservation, MarioState
from .openenv import Environment, EnvironmentMetadata
from .options import reset_options, task_specs

NAME = "mario_dagster"
DESCRIPTION = (
    "Data-pipeline incidents on real Dagster asset graphs: diagnose, repair tables, replay late batches, refresh what "
    "is downstream, and decide when it is safe to publish."
)


class MarioEnvironment(Environment[MarioAction, MarioObservation, MarioState]):
    """One session: at most one episode at a time, each in a sandbox of its own."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    via = "ws"

    def __init__(self) -> None:
        super().__init__()
        self._episode: Episode | None = None

    def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> MarioObservation:
        """Start an incident; the session's episode before it stays on disk as it is.

        Args:
            seed: 0 to 2**31 - 1; drawn at random when None.
            episode_id: the id to play under; made up when None.
            options: `task` or `task_id`, `split`, `profile`, `scale`, `feedback`; or `split` and `index` (task API).

        Raises:
            PlayError: an option is unknown or not valid, or the id is taken. The session stays where it was.
        """
        started = Episode.start(reset_options({"seed": seed, "episode_id": episode_id, **options}), via=self.via)
        self.close()
        self._episode = started
        return observation(started.reply())

    def step(self, action: MarioAction, timeout_s: float | None = None, **options: Any) -> MarioObservation:
        """Play one action. A step is never cut short: `timeout_s` is the caller's own affair.

        Raises:
            NotStarted: there has been no reset.
        """
        if options:
            raise BadRequest(f"step takes an action and no '{next(iter(options))}'")
        if self._episode is None:
            raise NotStarted("no episode yet: reset first")
        return observation(self._episode.step(move(action)))

    @property
    def state(self) -> MarioState:
        """Where the episode stands; an empty state before the first reset."""
        return MarioState() if self._episode is None else MarioState(**self._episode.state())

    def close(self) -> None:
        """Let go of the sandbox; it stays on disk."""
        episode, self._episode = self._episode, None
        if episode is not None:
            episode.close()

    def get_metadata(self) -> EnvironmentMetadata:
        return EnvironmentMetadata(name=NAME, description=DESCRIPTION, version=__version__)

    # --- OpenEnv's task API: which incidents there are, to be reset by split and index --------------------------------

    def list_splits(self) -> list[dict[str, str]]:
        return [{"name": "train", "type": "train"}, {"name": "eval", "type": "test"}]

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        return task_specs(split)

    def num_tasks(self, split: str) -> int:
        return len(task_specs(split))

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        if index < 0:
            raise IndexError(index)
        return task_specs(split)[index]

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        return task_specs(split)[start:stop]


def move(action: MarioAction) -> Move:
    return Move.from_dict(action.model_dump(exclude={"metadata"}))


def observation(reply: Reply) -> MarioObservation:
    return MarioObservation(**reply.observation)
