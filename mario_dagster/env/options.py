"""What `reset` may be asked for: one frozen value, checked in one place for every way in.

In: keywords as a client sent them. Out: a `ResetRequest`, and the `ResetOptions` that it means, or a `BadRequest` that
names the keyword and the valid choices.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, ConfigDict, Field

from mario_dagster.core.errors import UnknownName
from mario_dagster.core.registry import task, tasks
from mario_dagster.core.task import SPLITS, Feedback, Split, Task

from .arguments import Arguments, OneOf, Says, integer, quoted, read, unknown
from .errors import BadRequest

MAX_SEED = 2**31 - 1
MAX_SCALE = 1000
# Rows of the task API's list: a split's tasks are the pipelines, each under this many seeds.
SEEDS_PER_TASK = 100


def task_named(value: object) -> Task:
    """The task a client means by an id, a slug or an alias.

    Raises:
        BadRequest: there is none, or it is no name at all.
    """
    try:
        return task(value if isinstance(value, str | Task) else quoted(value))
    except UnknownName as error:
        raise BadRequest(unknown("task", value, error.choices)) from None


def _task_names() -> Iterator[str | int]:
    for each in tasks():
        yield from (each.slug, f"task_{each.id}", *each.aliases)
        yield each.id


# --- keywords ---------------------------------------------------------------------------------------------------------

TaskName = Annotated[Task | None, OneOf(task_named, _task_names, "By slug, id or alias.")]
EpisodeId = Annotated[
    str | None,
    Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"),
    Says("an id of 1 to 64 letters, digits, '-' and '_', a letter or digit first"),
]


Seed = Annotated[
    int | None,
    Field(ge=0, le=MAX_SEED),
    BeforeValidator(integer),
    Says(f"a whole number from 0 to {MAX_SEED}"),
]
Scale = Annotated[
    int | None,
    Field(ge=1, le=MAX_SCALE),
    BeforeValidator(integer),
    Says(f"a whole number from 1 to {MAX_SCALE}"),
]
ProfileName = Annotated[str | None, Field(min_length=1, max_length=128), Says("a name of 1 to 128 characters")]


def _last_index() -> int:
    return len(tasks()) * SEEDS_PER_TASK - 1


class Named(Arguments):
    """What names an episode, or the task that it must be of."""

    episode_id: EpisodeId = None
    task: TaskName = None
    task_id: TaskName = None


class ResetRequest(Named):
    """An incident to start, or an episode to go on with."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"task": "temporal", "seed": 42, "split": "train"}, {"episode_id": "mine", "resume": True}]
        }
    )

    seed: Seed = Field(default=None, description="Drawn at random unless given.")
    episode_id: EpisodeId = Field(default=None, description="Made up unless given.")
    split: Split | None = None
    profile: ProfileName = None
    scale: Scale = None
    feedback: Feedback | None = None
    index: Annotated[
        int | None,
        Field(ge=0),
        BeforeValidator(integer),
        Says("a whole number from 0 to the last of the split"),
    ] = Field(default=None, description="Of the task API; instead of task and seed.")
    resume: Annotated[bool | None, Says("true or false")] = Field(
        default=None, description="Go on with the episode of that id."
    )

    def options(self) -> ResetOptions:
        """The incident that is described, whether to start it or to go on with it.

        Raises:
            BadRequest: two keywords do not go together.
        """
        split = self.split or "train"
        chosen, seed = self._task_and_seed(split)
        return ResetOptions(chosen, split, seed, self.episode_id, self.profile, self.scale or 1, self.feedback)

    def _task_and_seed(self, split: Split) -> tuple[Task, int]:
        if self.index is not None:
            clash = [name for name in ("seed", "task", "task_id", "profile") if name in self.model_fields_set]
            if clash:
                raise BadRequest(f"index names a task and a seed of the split by itself; leave out {', '.join(clash)}")
            if self.index > _last_index():
                raise BadRequest(f"index must be a whole number from 0 to {_last_index()}, not {quoted(self.index)}")
            spec = task_specs(split)[self.index]
            return task(spec["task"]), int(spec["seed"])
        if self.task and self.task_id and self.task.id != self.task_id.id:
            raise BadRequest(
                f"task '{self.task.slug}' and task_id {self.task_id.id} are different tasks; send one of them"
            )
        seed = secrets.randbelow(MAX_SEED + 1) if self.seed is None else self.seed
        return self.task or self.task_id or tasks()[0], seed


KEYWORDS = tuple(ResetRequest.model_fields)


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


# --- reading them -----------------------------------------------------------------------------------------------------


def reset_request(keywords: Mapping[str, Any]) -> ResetRequest:
    """A client's keywords, each by itself as it should be.

    Raises:
        BadRequest: one is unknown, or its value is not one that `reset` takes.
    """
    return read(ResetRequest, keywords, "a reset", "keyword of reset")


def reset_options(keywords: Mapping[str, Any]) -> ResetOptions:
    """The incident to start that a client's keywords mean.

    Raises:
        BadRequest: a keyword is unknown, or its value is not one that `reset` takes.
    """
    request = reset_request(keywords)
    if request.resume:
        raise BadRequest("resume goes on with an episode that is there; to start one, leave it out")
    return request.options()


class _Id(Arguments):
    episode_id: EpisodeId


def episode_id(value: object) -> str:
    """An id that can name a folder and nothing outside it.

    Raises:
        BadRequest: it is anything else.
    """
    return cast(str, read(_Id, {"episode_id": value}, "an episode").episode_id)


def task_specs(split: str) -> list[dict[str, Any]]:
    """What the task API lists for a split: every pipeline under the first hundred seeds, as keywords of `reset`."""
    if split not in SPLITS:
        raise BadRequest(unknown("split", split, SPLITS))
    specs = [(each, seed) for each in tasks() for seed in range(SEEDS_PER_TASK)]
    return [
        {"id": f"{split}-{each.slug}-{seed}", "index": index, "task": each.slug, "split": split, "seed": seed}
        for index, (each, seed) in enumerate(specs)
    ]
