"""What the HTTP routes are sent, by request: the models that they read, and that OpenAPI describes.

In: a request's arguments, from its body and its query. Out: typed values, or `BadRequest`. What a reset is sent is in
`options.py`, an action in `models.py`. Importing this imports OpenEnv.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from mario_dagster.core.task import Split

from .arguments import Arguments, OneOf, Says, integer, read
from .keys import KEY_IS, PATTERN
from .models import MarioAction, WireActionId, read_action
from .options import Named, Seed, TaskName
from .players import installed, player_named

# Episodes on a page of the list, and what a journal cannot have more lines than.
PAGE, MOST_ON_A_PAGE, MOST_LINES = 50, 200, 1_000_000
PolicyName = Annotated[str | None, OneOf(player_named, installed, "A policy that is installed.")]
Key = Annotated[
    str | None,
    Field(pattern=f"^{PATTERN}$", description="The newest step's is not played again, it is answered as before."),
    Says(KEY_IS),
]


class BesideAction(Named):
    """What may stand beside the action of a step."""

    timeout_s: Annotated[float | None, Says("a number of seconds above 0")] = Field(
        default=None, gt=0, description="The caller's own affair."
    )
    request_id: Key = None
    idempotency_key: Key = None


class StepRequest(BesideAction):
    """One action in the episode that is named."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"episode_id": "mine", "action": {"action_id": 10}, "request_id": "mine-1"}]}
    )

    action: MarioAction | WireActionId


class ActionRequest(MarioAction, BesideAction):
    """The same, with the action's own fields beside the others."""


class GradeRequest(Named):
    """Which episode's score; or that of a policy, in an episode of its own."""

    seed: Seed = None
    split: Split | None = None
    baseline: PolicyName = Field(default=None, description="Grade this policy, in an episode of its own.")


class BaselineRequest(Arguments):
    """Which policy is to play every task."""

    seed: Seed = 42
    split: Split = "train"
    policy_mode: PolicyName = "heuristic"


class EpisodesRequest(Arguments):
    """Which page of the list of episodes."""

    limit: Annotated[
        int,
        Field(ge=1, le=MOST_ON_A_PAGE),
        BeforeValidator(integer),
        Says(f"a whole number from 1 to {MOST_ON_A_PAGE}"),
    ] = PAGE
    after: Annotated[str | None, Field(min_length=1, max_length=200), Says("what a page of /episodes said in next")] = (
        Field(default=None, description="Where the page before ended, as it said in `next`; the newest unless given.")
    )
    task: TaskName = None
    finished: Annotated[bool | None, Says("true or false")] = Field(
        default=None, description="Only those that are over, or only the others."
    )


class EventsRequest(Arguments):
    """Where to go on in an episode's lines."""

    last_event_id: Annotated[
        int | None,
        Field(ge=0, le=MOST_LINES),
        BeforeValidator(integer),
        Says(f"the id of the last event seen, a whole number from 0 to {MOST_LINES}"),
    ] = Field(default=None, description="The newest event that is known; what came after it is sent.")


class PostmortemRequest(Arguments):
    """How a postmortem is to be written."""

    format: Literal["html", "md"] = "html"


def read_step(arguments: Mapping[str, Any]) -> tuple[MarioAction, BesideAction]:
    """The action of a step, and what stands beside it: a `StepRequest` or an `ActionRequest`.

    Raises:
        BadRequest: it is neither.
    """
    beside = BesideAction.model_fields
    if "action" in arguments:
        rest = {name: value for name, value in arguments.items() if name != "action"}
        fields = arguments["action"]
        if isinstance(fields, int) and not isinstance(fields, bool):
            fields = {"action_id": fields}
    else:
        rest = {name: value for name, value in arguments.items() if name in beside}
        fields = {name: value for name, value in arguments.items() if name not in beside}
    return read_action(fields), read(BesideAction, rest, "a step")
