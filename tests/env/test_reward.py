"""The reward of a step: a sum of named parts, finite, in the range that is declared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_dagster.env import reward

scores = st.one_of(st.floats(0, 1), st.floats(allow_nan=True, allow_infinity=True))
steps = st.builds(
    reward.Step,
    before=scores,
    after=scores,
    invalid=st.booleans(),
    premature_commit=st.booleans(),
    streak=st.integers(0, 1000),
    ended=st.booleans(),
    success=st.booleans(),
)


@given(steps)
def test_a_reward_is_finite_and_in_the_declared_range(step: reward.Step) -> None:
    parts = reward.parts(step)
    low, high = reward.REWARD_RANGE
    assert all(math.isfinite(part) for part in parts.values())
    assert low <= reward.total(parts) <= high


# What is invalid or below the threshold is no success; only steps that cannot be would reach the end of the range.
@given(steps.filter(lambda step: not (step.success and (step.invalid or step.premature_commit))))
def test_a_reward_is_the_sum_of_its_parts_with_no_clipping(step: reward.Step) -> None:
    parts = reward.parts(step)
    assert reward.total(parts) == pytest.approx(sum(parts.values()), abs=1e-6)


@given(st.floats(0, 1), st.floats(0, 1))
def test_score_change_pays_nine_tenths_and_each_step_costs(before: float, after: float) -> None:
    parts = reward.parts(reward.Step(before, after))
    assert parts["score_change"] == pytest.approx(0.9 * (after - before), abs=1e-6)
    assert parts["step_cost"] == -0.004
    assert {name for name, value in parts.items() if value} <= {"score_change", "step_cost"}


@given(st.integers(0, 100))
def test_repeats_are_free_up_to_three_and_capped_at_three_hundredths(streak: int) -> None:
    expected = -0.01 * min(max(streak - 3, 0), 3)
    assert reward.parts(reward.Step(0.5, 0.5, streak=streak))["repetition"] == pytest.approx(expected)


@given(st.floats(0, 1), st.floats(0, 1))
def test_success_pays_with_a_capped_gain_and_failure_costs(before: float, after: float) -> None:
    won = reward.parts(reward.Step(before, after, ended=True, success=True))
    lost = reward.parts(reward.Step(before, after, ended=True))
    assert won["success"] == pytest.approx(0.18 + min(after - before, 0.10), abs=1e-6)
    assert won["failure"] == 0 == lost["success"]
    assert lost["failure"] == -0.45


def test_invalid_and_premature_are_charged_as_designed() -> None:
    parts = reward.parts(reward.Step(0.5, 0.5, invalid=True, premature_commit=True, ended=True))
    assert (parts["invalid_action"], parts["premature_commit"]) == (-0.06, -0.25)


@given(scores)
def test_a_shown_score_is_clamped_and_short(score: float) -> None:
    shown = reward.shown(score)
    assert 0.01 <= shown <= 0.99
    assert shown == round(shown, 4)


@pytest.mark.parametrize(
    ("before", "after", "falls"), [(0.5, 0.05, True), (0.10, 0.0999, True), (0.05, 0.05, False), (0.5, 0.10, False)]
)
def test_only_a_score_that_falls_below_the_floor_collapses(before: float, after: float, falls: bool) -> None:
    assert reward.collapsed(before, after) is falls
