"""The OpenEnv environment: one session's `reset`, `step` and `state` over an `Episode`.

In: what OpenEnv's server or a caller in process passes. Out: `MarioObservation` and `MarioState`. Both calls block
(they run Dagster); OpenEnv gives each `/ws` session a thread of its own for them. Nothing is set up before the first
reset: OpenEnv constructs environments for every request that asks about one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mario_dagster import __version__
from mario_dagster.core.action import Action
from mario_dagster.core.errors import StorageError

from .episode import Episode, Reply, told
from .errors import BadRequest, Fault, NotStarted, PlayError
from .keys import FIELD, keys_in, one_key
from .models import MarioAction, MarioObservation, MarioState
from .openenv import Environment, EnvironmentMetadata
from .options import reset_options, task_specs
from .resumption import Resumption

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
        """Start an incident, or go on with an episode; the session's episode before it stays on disk as it is.

        Args:
            seed: 0 to 2**31 - 1; drawn at random when None.
            episode_id: the id to play under; made up when None.
            options: `task` or `task_id`, `split`, `profile`, `scale`, `feedback`; or `split` and `index` (task API);
                or `resume=True`, which goes on with the episode of that id and is answered its newest observation.

        Raises:
            PlayError: an option is unknown or not valid, the id is taken, or there is none to go on with. The session
                stays where it was.
        """
        with answering():
            keywords = {"seed": seed, "episode_id": episode_id, **options}
            wanted = Resumption.wanted(keywords)
            if wanted is None:
                opened = Episode.start(reset_options(keywords), via=self.via)
            else:
                opened = Episode.resume(wanted.episode_id)
            try:
                if wanted is not None:
                    wanted.check(opened)
                seen = observation(opened.newest())
            except BaseException:
                opened.close()
                raise
            before, self._episode = self._episode, opened
            if before is not None:
                before.close()
            return seen

    def step(self, action: MarioAction, timeout_s: float | None = None, **options: Any) -> MarioObservation:
        """Play one action. A step is never cut short: `timeout_s` is the caller's own affair.

        Args:
            options: `request_id`, which may be in the action's metadata too: a key of the caller's. Sent again, the
                newest step's is answered as before and plays nothing.

        Raises:
            NotStarted: there has been no reset.
        """
        with answering():
            key = one_key([options.pop(FIELD, None), *keys_in(action.metadata)])
            if options:
                raise BadRequest(f"step takes an action and no '{next(iter(options))}'")
            if self._episode is None:
                raise NotStarted("no episode yet: reset first")
            return observation(self._episode.step(move(action), key))

    @property
    def state(self) -> MarioState:
        """Where the episode stands; an empty state before the first reset."""
        with answering():
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


@contextmanager
def answering() -> Iterator[None]:
    """Whatever goes wrong inside leaves as a refusal that may be told to a player; what nobody foresaw is logged.

    Raises:
        PlayError: with words of ours and nothing of the machine; `Fault` for what nobody foresaw.
    """
    try:
        yield
    except PlayError:
        raise
    except StorageError as error:
        raise told(error, None) from error
    except Exception as error:
        logging.getLogger(__name__).exception("a request failed in a way that nobody foresaw")
        raise Fault from error


def move(action: MarioAction) -> Action:
    return Action.from_dict(action.model_dump(exclude={"metadata"}))


def observation(reply: Reply) -> MarioObservation:
    return MarioObservation(**reply.observation)
