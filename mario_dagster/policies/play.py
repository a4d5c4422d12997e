"""One episode, played: a policy on one side, anything with `reset` and `step` on the other.

In: a policy and a `MarioEnv` client, an in-process environment or any object with their two methods. Out: `Played`,
turn by turn. The public client is the usual way, so that a policy here has no advantage over one in another language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mario_dagster.env.episode_state import SUCCESSES

from .base import Action, Observation, Policy

# Episodes end by their task's step budget; this only stops a play against an environment that never says done.
MOST_TURNS = 200


class Playable(Protocol):
    """What can be played: `reset` and `step`, each answering with an observation or with a result that holds one."""

    def reset(self, **options: Any) -> Any: ...

    def step(self, action: Any, /) -> Any: ...


@dataclass(frozen=True)
class Turn:
    """One move and what came of it. Turn 0 is the reset, which has no move."""

    number: int
    move: Action | None
    observation: Observation
    reward: float
    done: bool


@dataclass(frozen=True)
class Played:
    """A whole episode: turn 0 is the reset."""

    turns: tuple[Turn, ...]

    @property
    def last(self) -> Turn:
        return self.turns[-1]

    @property
    def steps(self) -> int:
        return len(self.turns) - 1

    @property
    def total_reward(self) -> float:
        return sum(turn.reward for turn in self.turns)

    @property
    def done_reason(self) -> str:
        return str(self.last.observation.get("done_reason") or "")

    @property
    def succeeded(self) -> bool:
        return self.done_reason in SUCCESSES


def play(
    env: Playable,
    policy: Policy,
    *,
    on_turn: Callable[[Turn], None] | None = None,
    policy_seed: int = 0,
    **options: Any,
) -> Played:
    """Play one episode to its end.

    Args:
        on_turn: told every turn as soon as it is over, the reset included.
        policy_seed: the policy's own seed; the incident's is `seed` among the options.
        options: for `reset` (`task`, `split`, `seed`, `profile`, `feedback` …).
    """
    policy.begin(policy_seed)
    turns = [_turn(0, None, env.reset(**options))]
    if on_turn:
        on_turn(turns[0])
    while not turns[-1].done and len(turns) <= MOST_TURNS:
        move = policy.choose(turns[-1].observation)
        turns.append(_turn(len(turns), move, env.step(_action(move))))
        if on_turn:
            on_turn(turns[-1])
    return Played(tuple(turns))


def _turn(number: int, move: Action | None, reply: Any) -> Turn:
    observation = getattr(reply, "observation", reply)
    fields: Mapping[str, Any] = observation if isinstance(observation, Mapping) else observation.model_dump(mode="json")
    reward, done = (getattr(reply, name, None) or fields.get(name) for name in ("reward", "done"))
    return Turn(number, move, fields, float(reward or 0.0), bool(done))


def _action(move: Action) -> Any:
    # Here and not above: OpenEnv's import costs seconds, and naming the policies must not.
    from mario_dagster.env.models import MarioAction

    return MarioAction(**move.to_dict())
