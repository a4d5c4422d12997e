"""What reset takes, and in which words it refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_dagster.core.registry import tasks
from mario_dagster.env.errors import BadRequest
from mario_dagster.env.options import KEYWORDS, MAX_SEED, episode_id, reset_options, task_specs

rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=10), rubbish, max_size=5))
def test_reset_takes_what_is_valid_and_refuses_the_rest_in_words(keywords: dict[str, Any]) -> None:
    try:
        options = reset_options(keywords)
    except BadRequest as error:
        assert 10 < len(str(error)) < 600
    else:
        assert 0 <= options.seed <= MAX_SEED
        assert options.task in tasks()


@pytest.mark.parametrize(
    "seed", [-1, 2**31, pytest.param(10**5000, id="5000 digits"), 1.0, float("nan"), "7", True, [], {}]
)
def test_a_seed_is_a_whole_number_in_range(seed: object) -> None:
    with pytest.raises(BadRequest, match=f"seed must be a whole number from 0 to {MAX_SEED}"):
        reset_options({"seed": seed})


@pytest.mark.parametrize("seed", [0, 42, MAX_SEED])
def test_seeds_in_range_are_kept(seed: int) -> None:
    assert reset_options({"seed": seed}).seed == seed


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"sede": 1}, "did you mean 'seed'"),
        ({"task": "temporl"}, "did you mean 'temporal'"),
        ({"task": None, "task_id": 99}, "temporal"),
        pytest.param({"task": 10**5000}, "choose one of", id="a task of 5000 digits"),
        ({"split": "bogus"}, "train, eval"),
        ({"split": ["train"]}, "train, eval"),
        ({"feedback": "trust"}, "did you mean 'truth'"),
        ({"scale": 0}, "scale must be a whole number from 1"),
        ({"episode_id": "../x"}, "1 to 64 letters"),
        ({"index": 10**6}, "index must be"),
        ({"index": 0, "seed": 1}, "leave out seed"),
        ({"profile": 5}, "profile must be a name"),
    ],
)
def test_a_refusal_names_what_would_be_right(keywords: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        reset_options(keywords)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "../x", "a/b", "a\\b", "a\x00", "-a", ".truth", "a" * 65, "é", "a\n", 5, None]
)
def test_an_id_cannot_name_anything_but_a_folder_of_its_own(bad: object) -> None:
    with pytest.raises(BadRequest):
        episode_id(bad)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_every_row_of_the_task_api_is_a_reset(split: str) -> None:
    specs = task_specs(split)
    for place in (0, len(specs) - 1):
        options = reset_options({"split": split, "index": place})
        assert (options.task.slug, options.seed) == (specs[place]["task"], specs[place]["seed"])
