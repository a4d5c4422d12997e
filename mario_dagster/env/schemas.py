"""What the HTTP routes take and answer, as OpenAPI says it: for people, generators of clients and fuzzers.

In: the models and the limits that the routes check against. Out: keyword arguments for FastAPI's route decorators, and
`truthful`, which corrects what FastAPI and OpenEnv say of routes in ways that are not so here. Requests are read and
judged elsewhere, with better words than a validator has; nothing here judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mario_dagster.core.action import ACTIONS
from mario_dagster.core.registry import tasks
from mario_dagster.core.task import FEEDBACKS, SPLITS

from .keys import HEADER, NAMES, PATTERN
from .models import MarioAction, MarioObservation
from .openenv import JsonRpcRequest
from .options import EPISODE_ID, MAX_SCALE, MAX_SEED
from .players import installed

Schema = dict[str, Any]
Route = dict[str, Any]

NAMED = ("episode_id", "task", "task_id")
STEPPED = ("action", *NAMED, "timeout_s", *NAMES)
GRADED = (*NAMED, "seed", "split", "baseline")
BASELINES = ("seed", "split", "policy_mode")


class Refusal(BaseModel):
    """Why a request was not served, and what would be."""

    model_config = ConfigDict(extra="forbid")

    detail: str


class Answer(BaseModel):
    """What a reset or a step is answered with."""

    model_config = ConfigDict(extra="forbid")

    episode_id: str
    observation: MarioObservation
    reward: float | None = Field(description="The step's; null after a reset.")
    done: bool
    metadata: dict[str, Any] = Field(default_factory=dict)


_MEANS = {
    400: "The body is no JSON, or JSON that cannot be said back.",
    404: "There is no such episode, task or environment.",
    409: "It does not fit how the episode stands, or it is not clear which episode is meant.",
    410: "A file of the episode is damaged: it is set aside.",
    413: "The body is too long.",
    422: "An argument is unknown, of the wrong type or out of range; the text has the choices.",
    503: "The disk does not let us, for now: nothing happened, and the same request may succeed later.",
}
_EVERYWHERE = (400, 413, 422)
_PLAYED = (404, 409, 410, 503)


def _nullable(**schema: Any) -> Schema:
    """A value that may as well be null, which means that it is left out."""
    return {"anyOf": [schema, {"type": "null"}]}


_ID = {"type": "string", "pattern": f"^{EPISODE_ID.pattern}$"}
_SEED = {"type": "integer", "minimum": 0, "maximum": MAX_SEED}
_TASK = _nullable(
    enum=[name for each in tasks() for name in (each.slug, f"task_{each.id}", *each.aliases, each.id)],
    description="By slug, id or alias.",
)
_SPLIT = {"type": "string", "enum": list(SPLITS)}
_POLICY = {"type": "string", "enum": list(installed())}
_KEY = {
    "type": "string",
    "pattern": f"^{PATTERN}$",
    "description": "A key of the caller's: the newest step's is not played again, it is answered as before.",
}
_NAMED: Schema = {"episode_id": _nullable(**_ID), "task": _TASK, "task_id": _TASK}
_GRADED: Schema = {
    **_NAMED,
    "seed": _nullable(**_SEED),
    "split": _nullable(**_SPLIT),
    "baseline": _nullable(**_POLICY, description="Grade this policy, in an episode of its own."),
}


def _object(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


RESET_BODY = _object(
    {
        "seed": _nullable(**_SEED, description="Drawn at random unless given."),
        "episode_id": _nullable(**_ID, description="Made up unless given."),
        "task": _TASK,
        "task_id": _TASK,
        "split": _nullable(**_SPLIT),
        "profile": _nullable(type="string", minLength=1, maxLength=128),
        "scale": _nullable(type="integer", minimum=1, maximum=MAX_SCALE),
        "feedback": _nullable(type="string", enum=list(FEEDBACKS)),
        "index": _nullable(type="integer", minimum=0, description="Of the task API; instead of task and seed."),
        "resume": _nullable(type="boolean", description="Go on with the episode of that id."),
    },
    examples=[{"task": "temporal", "seed": 42, "split": "train"}, {"episode_id": "mine", "resume": True}],
)
_ACTION = MarioAction.model_json_schema()
_BESIDE: Schema = {
    **_NAMED,
    "timeout_s": _nullable(type="number", exclusiveMinimum=0, description="The caller's own affair."),
    **{name: {"anyOf": [_KEY, {"type": "null"}]} for name in NAMES},
}
STEP_BODY: Schema = {
    "anyOf": [
        _object(
            {"action": {"anyOf": [_ACTION, {"type": "integer", "minimum": 0, "maximum": len(ACTIONS) - 1}]}, **_BESIDE},
            required=["action"],
        ),
        _object({**_ACTION["properties"], **_BESIDE}, required=["action_id"]),
    ],
    "examples": [{"episode_id": "mine", "action": {"action_id": 10}, "request_id": "mine-1"}],
}
BASELINE_BODY = _object({"seed": _nullable(**_SEED), "split": _nullable(**_SPLIT), "policy_mode": _nullable(**_POLICY)})


def _parameters(properties: Mapping[str, Any], place: str = "query") -> list[Schema]:
    common = {"in": place, "required": False}
    return [{"name": name, **common, "schema": _of_text(each)} for name, each in properties.items()]


def _of_text(schema: Schema) -> Schema:
    """The same where null cannot be said."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else schema


def _route(*statuses: int, body: Schema | None = None, answer: type[BaseModel] | None = None, **extra: Any) -> Route:
    if body is not None:
        required = all("required" in form for form in body.get("anyOf", [body]))
        extra["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    told: dict[int, Any] = {status: {"model": Refusal, "description": _MEANS[status]} for status in statuses}
    return {"responses": ({200: {"model": answer}} if answer else {}) | told, "openapi_extra": extra}


RESET = _route(*_PLAYED, body=RESET_BODY, answer=Answer)
STEP = _route(*_PLAYED, body=STEP_BODY, answer=Answer, parameters=_parameters({HEADER: _KEY}, "header"))
OBSERVATION = _route(*_PLAYED, answer=Answer, parameters=_parameters(_NAMED))
STATE = _route(*_PLAYED, parameters=_parameters(_NAMED))
GRADE_QUERY = _route(*_PLAYED, parameters=_parameters(_GRADED))
GRADE_TASK_QUERY = _route(*_PLAYED, parameters=_parameters({n: each for n, each in _GRADED.items() if n != "task"}))
GRADE_BODY = _route(*_PLAYED, body=_object(_GRADED))
BASELINE = _route(410, 503, body=BASELINE_BODY)


def truthful(schema: Schema) -> Schema:
    """An app's OpenAPI description, corrected: refusals are `{"detail": text}`, and the guard refuses everywhere."""
    refusal = {"$ref": "#/components/schemas/Refusal"}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            also = (400, 404) if "{env_name}" in path else ()
            for status in (*_EVERYWHERE, *also):
                content = {"application/json": {"schema": refusal}}
                operation["responses"][str(status)] = {"description": _MEANS[status], "content": content}
    call = JsonRpcRequest.model_json_schema()
    call["properties"]["params"]["properties"] = {"session_id": {"type": "string"}}
    schema["paths"]["/mcp"]["post"]["requestBody"] = {"content": {"application/json": {"schema": call}}}
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema
