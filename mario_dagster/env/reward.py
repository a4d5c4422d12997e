"""The reward of a step: arithmetic on what was before and after, as named parts.

In: scores, counts and flags. Out: named parts and their sum. No I/O and no Dagster: whoever reads the parts can add
them up themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SCORE_WEIGHT = 0.9
STEP_COST = -0.004
INVALID_ACTION = -0.06
PREMATURE_COMMIT = -0.25
REPEAT = -0.01
REPEATS_FREE, REPEATS_CHARGED = 3, 3
SUCCESS, GAIN_CAP = 0.18, 0.10
FAILURE = -0.45
REWARD_RANGE = (-2.0, 2.0)

SHOWN_RANGE = (0.01, 0.99)
COLLAPSE = 0.10


@dataclass(frozen=True)
class Step:
    """What one step did, in numbers.

    Args:
        before, after: the score that shapes the reward, 0 to 1, around the step.
        invalid: the action could not be done and changed nothing.
        premature_commit: the step was a commit with a score below the task's threshold.
        streak: how many times in a row this very action has been played and left everything as it was, this one
            included; 0 when it changed something: a repeat that does the work is none.
        waited: what repeats have cost so far that are given back now, since waiting was right.
        ended: the episode is over after this step.
        success: it ended well: at or above the threshold, and published, or rightly held back; so never premature.
    """

    before: float
    after: float
    invalid: bool = False
    premature_commit: bool = False
    streak: int = 1
    waited: float = 0.0
    ended: bool = False
    success: bool = False


def parts(step: Step) -> dict[str, float]:
    """Each term of the reward by name; a term that does not apply is 0."""
    gain = bounded(step.after) - bounded(step.before)
    repeats = min(max(step.streak - REPEATS_FREE, 0), REPEATS_CHARGED)
    terms = {
        "score_change": SCORE_WEIGHT * gain,
        "step_cost": STEP_COST,
        "invalid_action": INVALID_ACTION if step.invalid else 0.0,
        "premature_commit": PREMATURE_COMMIT if step.premature_commit else 0.0,
        "repetition": REPEAT * repeats + step.waited,
        "success": SUCCESS + min(gain, GAIN_CAP) if step.ended and step.success else 0.0,
        "failure": FAILURE if step.ended and not step.success else 0.0,
    }
    # `+ 0.0` turns a negative zero into a plain one, so that equal rewards are spelt alike.
    return {name: round(value, 6) + 0.0 for name, value in terms.items()}


def total(terms: Mapping[str, float]) -> float:
    """The reward: the sum of its parts, inside the declared range."""
    low, high = REWARD_RANGE
    return min(max(round(math.fsum(terms.values()), 6) + 0.0, low), high)


def bounded(score: float) -> float:
    """A score as the arithmetic takes it: 0 to 1, and 0 for what is not a number."""
    return min(max(float(score), 0.0), 1.0) if math.isfinite(score) else 0.0


def shown(score: float) -> float:
    """A score as a player sees it: clamped to [0.01, 0.99], four decimals. The raw one decides."""
    low, high = SHOWN_RANGE
    return round(min(max(bounded(score), low), high), 4)


def collapsed(before: float, after: float) -> bool:
    """Whether a step let the score fall below the floor; a score that began there has not fallen."""
    return bounded(after) < COLLAPSE <= bounded(before)
