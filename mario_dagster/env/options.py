"""What `reset` may be asked for: one frozen value, checked in one place for every way in.

In: keywords as a client sent them. Out: `ResetOptions`, or a `BadRequest` that names the keyword and the valid choices.
"""

from __future__ import annotations

import json
import operator
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from mario_dagster.core.errors import UnknownName, did_you_mean
from mario_dagster.core.registry import task, tasks
from mario_dagster.core.task import FEEDBACKS, SPLITS, Feedback, Split, Task

from .errors import BadRequest

MAX_SEED = 2**31 - 1
MAX_SCALE = 1000
EPISODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
KEYWORDS = ("seed", "episode_id", "task", "task_id", "split", "profile", "scale", "feedback", "index", "resume")
# Rows of the task API's list: a split's tasks are the pipelines, each under this many seeds.
SEEDS_PER_TASK = 100


@dataclass(frozen=True)
class ResetOptions:
    """One incident to start.

    Args:
        seed: decides everything that varies; drawn at random when the client names none.
        episode_id: the id to play under, which becomes the sandbox's; made up when None.
        profile: the family of incident by name; None lets the seed draw it from the split.
        scale: how many times the rows.
        feedback: what shapes reward and `current_score`; None is the split's default.
    """

    task: Task
    split: Split
    seed: int
    episode_id: str | None = None
    profile: str | None = None
    scale: int = 1
    feedback: Feedback | None = None


def reset_options(keywords: Mapping[str, Any]) -> ResetOptions:
    """The incident to start that a client's keywords mean.

    Raises:
        BadRequest: a keyword is unknown, or its value is not one that `reset` takes.
    """
    given = given_keywords(keywords)
    if wants_resume(given):
        raise BadRequest("resume goes on with an episode that is there; to start one, leave it out")
    split = _choice(given, "split", SPLITS, "train")
    chosen, seed = _task_and_seed(given, cast(Split, split))
    return ResetOptions(
        task=chosen,
        split=cast(Split, split),
        seed=seed,
        episode_id=episode_id(given["episode_id"]) if "episode_id" in given else None,
        profile=_text(given, "profile"),
        scale=whole(given["scale"], "scale", 1, MAX_SCALE) if "scale" in given else 1,
        feedback=cast("Feedback | None", _choice(given, "feedback", FEEDBACKS, None)),
    )


def given_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Those keywords of a reset that say anything: null is as good as left out.

    Raises:
        BadRequest: one is unknown.
    """
    for name in keywords:
        if name not in KEYWORDS:
            raise BadRequest(unknown("keyword of reset", name, KEYWORDS))
    return {name: value for name, value in keywords.items() if value is not None}


def wants_resume(given: Mapping[str, Any]) -> bool:
    """Whether a reset is to go on with an episode instead of starting one.

    Raises:
        BadRequest: `resume` is anything but true or false.
    """
    value = given.get("resume", False)
    if not isinstance(value, bool):
        raise BadRequest(f"resume must be true or false, not {quoted(value)}")
    return value


def episode_id(value: object) -> str:
    """An id that can name a folder and nothing outside it.

    Raises:
        BadRequest: it is anything else.
    """
    if not isinstance(value, str) or not EPISODE_ID.fullmatch(value):
        raise BadRequest(
            f"episode_id {quoted(value)} is no id: 1 to 64 letters, digits, '-' and '_', a letter or digit first"
        )
    return value


def task_named(value: object) -> Task:
    """The task a client means by an id, a slug or an alias.

    Raises:
        BadRequest: there is none, or it is no name at all.
    """
    try:
        return task(value if isinstance(value, str) else quoted(value))
    except UnknownName as error:
        raise BadRequest(unknown("task", value, error.choices)) from None


def task_specs(split: str) -> list[dict[str, Any]]:
    """What the task API lists for a split: every pipeline under the first hundred seeds, as keywords of `reset`."""
    _choice({"split": split}, "split", SPLITS, None)
    specs = [(each, seed) for each in tasks() for seed in range(SEEDS_PER_TASK)]
    return [
        {"id": f"{split}-{each.slug}-{seed}", "index": index, "task": each.slug, "split": split, "seed": seed}
        for index, (each, seed) in enumerate(specs)
    ]


def _task_and_seed(given: Mapping[str, Any], split: Split) -> tuple[Task, int]:
    if "index" in given:
        clash = [name for name in ("seed", "task", "task_id", "profile") if name in given]
        if clash:
            raise BadRequest(f"index names a task and a seed of the split by itself; leave out {', '.join(clash)}")
        specs = task_specs(split)
        spec = specs[whole(given["index"], "index", 0, len(specs) - 1)]
        return task(spec["task"]), int(spec["seed"])
    named = [task_named(given[name]) for name in ("task", "task_id") if name in given]
    if len({each.id for each in named}) > 1:
        raise BadRequest(f"task '{named[0].slug}' and task_id {named[1].id} are different tasks; send one of them")
    seed = whole(given["seed"], "seed", 0, MAX_SEED) if "seed" in given else secrets.randbelow(MAX_SEED + 1)
    return (named[0] if named else tasks()[0]), seed


def whole(value: object, name: str, low: int, high: int) -> int:
    """A number of a client's: an integer, and neither true nor 3.0 nor "3".

    Raises:
        BadRequest: it is anything else, or out of range.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(cast(Any, value))
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise BadRequest(f"{name} must be a whole number from {low} to {high}, not {quoted(value)}")
    return number


def _choice(given: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None) -> str | None:
    value = given.get(name, default)
    if value is not None and (not isinstance(value, str) or value not in choices):
        raise BadRequest(unknown(name, value, choices))
    return value


def unknown(noun: str, value: object, choices: tuple[str, ...]) -> str:
    """A refusal with every choice, the likeliest pointed out."""
    return f"no {noun} {quoted(value)}: choose one of {', '.join(choices)}{likeliest(value, choices)}"


def likeliest(value: object, choices: tuple[str, ...]) -> str:
    """What to add to a refusal where one choice is much like what was sent."""
    hint = did_you_mean(quoted(value).strip("'"), choices)
    return f"; {hint}" if hint else ""


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= 128):
        raise BadRequest(f"{name} must be a name of 1 to 128 characters, not {quoted(value)}")
    return value


def quoted(value: object) -> str:
    """A client's value as it was sent, short enough to say back."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError):
        # Nothing that JSON has; or an integer of thousands of digits, which has no decimal spelling in Python.
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
