"""One sandbox being played: start it, step it, leave it, pick it up again in any process.

In: a sandbox and moves. Out: `Reply`: an observation's fields with reward and done. An episode keeps nothing in memory
that matters: how it stands is folded from the lines its sandbox recorded, how the pipeline stands is read from its
tables and its instance, so that a reply after a restart is the reply before it, byte for byte. A step and its line are
one transaction.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mario_dagster.core.action import Action
from mario_dagster.core.errors import Damaged, StorageError, UnknownName
from mario_dagster.core.task import Task

from . import incident_page, lines, reward
from .engineer import absorbed, next_intervention
from .episode_state import EpisodeState, after, episode_state
from .errors import BadRequest, EpisodeDamaged, EpisodeExists, NoEpisode, PlayError, StorageUnavailable
from .keys import FIELD, played
from .observation import View, observe, state_fields
from .options import ResetOptions, episode_id

if TYPE_CHECKING:
    from mario_dagster.engine.snapshot import Snapshot
    from mario_dagster.sandbox.home import Home
    from mario_dagster.sandbox.sandbox import Sandbox, StepTransaction

# Where Dagster's key-value storage holds the newest reply: beside the lines, in the same transactions.
REPLY = "mario/reply"


@dataclass(frozen=True)
class Reply:
    """What a reset or a step is answered with. `observation` holds `done` and `reward` too."""

    observation: Mapping[str, Any]

    @property
    def reward(self) -> float | None:
        value: float | None = self.observation["reward"]
        return value

    @property
    def done(self) -> bool:
        return bool(self.observation["done"])


class Episode:
    """A sandbox as a game: moves in, observations out.

    Every call that finds the sandbox's files damaged raises `EpisodeDamaged`, every one that the disk does not let be
    answered `StorageUnavailable`; either lets go of the sandbox, so that the next call opens it anew.
    """

    def __init__(self, sandbox: Sandbox):
        self.id = sandbox.id
        self._home = sandbox.home
        self._open: Sandbox | None = sandbox

    @classmethod
    def start(cls, options: ResetOptions, *, via: str = "local", home: Home | None = None) -> Episode:
        """Break a fresh sandbox's pipeline and stand at its first observation.

        Args:
            via: the way it is played (`ws`, `http`, `local`); a request without an id can only mean an `http` one.

        Raises:
            EpisodeExists: the id has been played, or is being played.
            BadRequest: no such profile in this task and split, or one composed of faults that do not go together.
        """
        from mario_dagster.incidents.damage import FaultError
        from mario_dagster.sandbox.home import SandboxExists
        from mario_dagster.sandbox.sandbox import Sandbox

        try:
            sandbox = Sandbox.create(
                options.task,
                profile=options.profile,
                split=options.split,
                seed=options.seed,
                scale=options.scale,
                feedback=options.feedback,
                id=options.episode_id,
                via=via,
                home=home,
            )
        except SandboxExists:
            raise EpisodeExists(f"episode '{options.episode_id}' exists; choose another episode_id, or none") from None
        except (UnknownName, FaultError) as error:
            raise BadRequest(str(error)) from None
        except StorageError as error:
            raise told(error, options.episode_id) from error
        return cls(sandbox)

    @classmethod
    def resume(cls, id: str, home: Home | None = None) -> Episode:
        """An episode where its last completed step left it, in this process or another.

        Raises:
            NoEpisode: there is none of that id.
        """
        from mario_dagster.sandbox.home import Home
        from mario_dagster.sandbox.sandbox import Sandbox

        home = home or Home.default()
        try:
            # Asked here, since the sandbox's own refusal names other sandboxes, which are other players'.
            if not home.exists(episode_id(id)):
                raise NoEpisode(f"no episode '{id}'; POST /reset starts one")
            return cls(Sandbox.open(id, home))
        except StorageError as error:
            raise told(error, id) from error

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox, opened again where it was let go of."""
        if self._open is None:
            from mario_dagster.sandbox.sandbox import Sandbox

            self._open = Sandbox.open(self.id, self._home)
        return self._open

    @property
    def task(self) -> Task:
        return self.sandbox.task

    @property
    def exists(self) -> bool:
        """Whether the sandbox is still on disk: another process may have pruned it."""
        return self._home.exists(self.id)

    def episode_state(self) -> EpisodeState:
        """How the episode stands by its recorded lines."""
        return episode_state(self.sandbox.steps)

    def reply(self) -> Reply:
        """The newest observation, made again from what is recorded and how the pipeline stands now."""
        with self._looking():
            return Reply(observe(self._view(self.episode_state())))

    def state(self) -> dict[str, Any]:
        """The fields of the episode's state."""
        with self._looking():
            return state_fields(self._view(self.episode_state()))

    def newest(self) -> Reply:
        """What the newest reset or step was answered with: the same again, whatever was done to the pipeline since."""
        with self._looking():
            kept = self._kept()
            if kept is not None:
                return kept
            reply = self._keep(self.reply())
            self._tell(reply, self.sandbox.snapshot())
            return reply

    def step(self, action: Action, key: str | None = None) -> Reply:
        """Play one action. Once the episode is done, nothing happens, nothing is recorded and the reward is 0.

        Args:
            key: what the caller knows this step by; the newest step's plays nothing and is answered as that step was.

        Raises:
            KeyReused, StepPassed: the key is that of another action, or of a step before the newest.
        """
        with self._answering():
            while True:
                with self.sandbox.step() as step:
                    recorded = self.sandbox.steps
                    if key is not None and played(recorded, key, action.to_dict()):
                        return self.newest()
                    state = episode_state(recorded)
                    if state.done:
                        return self._over(state)
                    if not self._taken_up(step, state):
                        line, snapshot = lines.played(self.sandbox, action, state)
                        step.record(line | ({} if key is None else {FIELD: key}))
                        # Before anybody else acts: the reply is of this step, whoever makes the next one.
                        reply = self._keep(Reply(observe(self._view(after(state, line), snapshot))))
                        if line["changed"] or reply.done:
                            self._tell(reply, snapshot)
                        return reply

    def take_up(self) -> None:
        """Write down what people have done to the pipeline since the newest line: each act is a line of its own."""
        with self._answering():
            taken = True
            while taken:
                with self.sandbox.step() as step:
                    state = self.episode_state()
                    if taken := self._taken_up(step, state):
                        assert step.line is not None
                        snapshot = self.sandbox.snapshot()
                        self._tell(Reply(observe(self._view(after(state, step.line), snapshot))), snapshot)

    def show(self) -> None:
        """See that the UI has the incident's page, with what people have done so far."""
        self.take_up()
        self.newest()

    def _taken_up(self, step: StepTransaction, state: EpisodeState) -> bool:
        """Whether there was an act of a person to be written down; if so, the oldest of them is, in this step."""
        act = None if state.done else next_intervention(self.sandbox, state)
        if act is None:
            return False
        absorbed(self.sandbox, act, step.number)
        step.record(lines.intervened(self.sandbox, act, state))
        return True

    def _tell(self, reply: Reply, snapshot: Snapshot) -> None:
        """Tell people in the UI what the player is told, in the transaction that is open."""
        self.sandbox.tell(incident_page.metadata(self.task, reply.observation, snapshot))

    def _over(self, state: EpisodeState) -> Reply:
        """The reply to an action after the end: nothing happens, and nothing is paid."""
        over = f"invalid: the episode is over ({state.done_reason}); reset to start another"
        unpaid = {name: 0.0 for name in state.parts}
        return Reply(observe(self._view(replace(state, reward=0.0, parts=unpaid, result=over))))

    def _keep(self, reply: Reply) -> Reply:
        """Keep the newest reply, in the transaction that is open; packed, since most of it is the same words again."""
        text = base64.b64encode(zlib.compress(json.dumps(reply.observation).encode(), level=1)).decode()
        self.sandbox.keep(REPLY, text)
        return reply

    def _kept(self) -> Reply | None:
        """The newest reply as it was kept; None where nobody has been told anything since the newest step."""
        text = self.sandbox.kept(REPLY)
        try:
            seen = json.loads(zlib.decompress(base64.b64decode(text))) if text else {}
        except (ValueError, zlib.error):
            # Not what was kept; made again it is the same, unless others had their hands in the pipeline.
            seen = {}
        return Reply(seen) if seen.get("steps_taken") == self.episode_state().steps else None

    def summary(self) -> dict[str, Any]:
        """What a grader may say: the true score once done, before that what the player sees."""
        with self._looking():
            return self._summary(self.episode_state())

    def close(self) -> None:
        """Let go of the sandbox, which stays on disk."""
        sandbox, self._open = self._open, None
        if sandbox is not None:
            sandbox.close()

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """The sandbox between two steps, by whichever process or person they are."""
        with self._answering():
            if not self.sandbox.instance.database.in_transaction:
                self.take_up()
            with self.sandbox.look():
                yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What is wrong with files, in a player's words; the sandbox is opened anew at the next call."""
        try:
            yield
        except StorageError as error:
            self.close()
            raise told(error, self.id) from error

    def _summary(self, now: EpisodeState) -> dict[str, Any]:
        parts = lines.objectives(self.sandbox, now, self.sandbox.snapshot())
        return {
            "episode_id": now.episode_id,
            "task_id": self.task.id,
            "task": self.task.slug,
            "split": now.split,
            "seed": now.seed,
            "score": reward.shown(now.score),
            "reward": reward.shown(now.score),
            "return": round(now.total_reward, 6),
            "finished": now.done,
            "feedback": "truth" if now.done else now.feedback,
            "success": now.success,
            "threshold": self.task.threshold,
            "steps": now.steps,
            "truncated": now.truncated,
            "done_reason": now.done_reason,
            "initial_score": reward.shown(now.initial_score),
            "best_score": reward.shown(now.best_score),
            "parts": {name: round(value, 6) for name, value in sorted(parts.items())},
            "table_scores": {name: round(value, 6) for name, value in sorted(now.table_scores.items())},
            "minutes_to_recover": round(now.minutes, 1),
            "exposed_row_minutes": round(now.exposure, 1),
            "collateral_cells": now.collateral,
            "guessed_cells": now.guessed,
        }

    def _view(self, state: EpisodeState, snapshot: Snapshot | None = None) -> View:
        """What an observation of this state is made of; of the pipeline as it stands, where no snapshot is given."""
        from mario_dagster.incidents.profiles import profile

        snapshot = snapshot or self.sandbox.snapshot()
        objectives = lines.objectives(self.sandbox, state, snapshot)
        return View(self.task, snapshot.signals, state, profile(self.sandbox.profile), objectives)


def told(error: StorageError, id: str | None) -> PlayError:
    """What is wrong with an episode's files, as the answer to whoever plays it."""
    if isinstance(error, Damaged):
        name = "the episode" if id is None else f"episode '{id}'"
        return EpisodeDamaged(
            f"{name} is damaged and set aside: {error}. Restore that file, or reset to start another episode"
        )
    return StorageUnavailable(f"{error}. Nothing has happened; send the same request again later")
