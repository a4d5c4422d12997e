"""One sandbox being played: start it, step it, leave it, pick it up again in any process.

In: a sandbox and moves. Out: `Reply`: an observation's fields with reward and done. An episode keeps nothing in memory that
matters: how it stands is folded from the lines its sandbox recorded, how the world looks is read from the world, so that
a reply after a restart is the reply before it, byte for byte. A step and its line are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mario_dagster.catalog import Task

from . import reward
from .actions import COMMIT, Move, Outcome, perform
from .errors import BadRequest, EpisodeExists, NoEpisode
from .observation import View, observe, state_fields
from .options import ResetOptions, episode_id

if TYPE_CHECKING:
    from mario_dagster.sandbox.sandbox import Grade, Sandbox

DoneReason = Literal["", "commit_success", "commit_failure", "quality_collapse", "step_budget_exhausted"]
ACTOR = "agent"


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


@dataclass(frozen=True)
class Standing:
    """How an episode stands: everything that its recorded lines add up to.

    Args:
        score, initial_score, best_score: raw, in the episode's own feedback; the true score once it is done.
        streak: how many times in a row the newest action was played, with the same arguments.
        parts: the newest step's reward by name.
        grade: parts of the true score by name; empty until the episode is done.
        minutes: modelled time since the first action.
        exposure: rows at fault times minutes that they stood there, summed over the steps.
    """

    episode_id: str
    seed: int
    split: str
    scale: int
    feedback: str
    via: str
    started_at: str
    active_table: str
    score: float
    initial_score: float
    best_score: float
    steps: int = 0
    reward: float | None = None
    total_reward: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    result: str = ""
    last_action: Mapping[str, Any] | None = None
    streak: int = 0
    done: bool = False
    truncated: bool = False
    success: bool | None = None
    done_reason: str = ""
    grade: Mapping[str, float] = field(default_factory=dict)
    table_scores: Mapping[str, float] = field(default_factory=dict)
    minutes: float = 0.0
    exposure: float = 0.0

    @property
    def last_action_id(self) -> int | None:
        return None if self.last_action is None else int(self.last_action["action_id"])

    @property
    def discloses(self) -> bool:
        """Whether labels of the incident may be shown: always in train, else when it is over."""
        return self.split == "train" or self.done

    def streak_of(self, move: Move) -> int:
        return self.streak + 1 if self.last_action == move.to_dict() else 1


def standing(lines: Iterable[Mapping[str, Any]]) -> Standing:
    """Fold an episode's recorded lines, the reset's first."""
    first, *steps = lines
    now = _begun(first)
    for line in steps:
        now = _after(now, line)
    return now


def _begun(line: Mapping[str, Any]) -> Standing:
    score = float(line["score"])
    return Standing(
        episode_id=line["episode_id"],
        seed=line["seed"],
        split=line["split"],
        scale=line["scale"],
        feedback=line["feedback"],
        via=line["via"],
        started_at=line["started_at"],
        active_table=line["active_table"],
        score=score,
        initial_score=score,
        best_score=score,
        result=line["result"],
    )


def _after(before: Standing, line: Mapping[str, Any]) -> Standing:
    same = before.last_action == line["action"]
    return Standing(
        **{name: getattr(before, name) for name in _FIXED},
        active_table=line["active_table"],
        score=line["score"],
        best_score=max(before.best_score, line["score"]),
        steps=line["step"],
        reward=line["reward"],
        total_reward=before.total_reward + line["reward"],
        parts=line["parts"],
        result=line["result"],
        last_action=line["action"],
        streak=before.streak + 1 if same else 1,
        done=line["done"],
        truncated=line["truncated"],
        success=line["success"],
        done_reason=line["done_reason"],
        grade=line.get("grade", {}),
        table_scores=line.get("table_scores", {}),
        minutes=before.minutes + line["minutes"],
        exposure=before.exposure + line["minutes"] * line["rows_at_fault"],
    )


_FIXED = ("episode_id", "seed", "split", "scale", "feedback", "via", "started_at", "initial_score")


class Episode:
    """A sandbox as a game: moves in, observations out."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox

    @classmethod
    def start(cls, options: ResetOptions, *, via: str = "local", home: Path | None = None) -> Episode:
        """Break a fresh sandbox's pipeline and stand at its first observation.

        Args:
            via: the way it is played (`ws`, `http`, `local`); a request without an id can only mean an `http` one.

        Raises:
            EpisodeExists: the id has been played, or is being played.
            BadRequest: the profile does not exist, or not in this task and split.
        """
        raise NotImplementedError

    @property
    def task(self) -> Task:
        return self.sandbox.task

    def standing(self) -> Standing:
        """How the episode stands by its recorded lines."""
        return standing(self.sandbox.steps)

    def reply(self) -> Reply:
        """The newest observation, made again from what is recorded and how the world looks now."""
        return Reply(observe(self._view(self.standing())))

    def state(self) -> dict[str, Any]:
        """The fields of the episode's state."""
        return state_fields(self._view(self.standing()))
