"""What the HTTP routes take and answer, as OpenAPI says it: for people, generators of clients and fuzzers.

In: the models that requests are read with. Out: keyword arguments for FastAPI's route decorators, and `truthful`, which
corrects what FastAPI and OpenEnv say of routes in ways that are not so here. Nothing here judges: requests are read
elsewhere, from body and query at once, with better words than a validator has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from .keys import HEADER
from .models import MarioObservation
from .openenv import JsonRpcRequest
from .options import Named, ResetRequest
from .requests import (
    ActionRequest,
    BaselineRequest,
    BesideAction,
    EpisodesRequest,
    EventsRequest,
    GradeRequest,
    PostmortemRequest,
    StepRequest,
)

Schema = dict[str, Any]
Route = dict[str, Any]

_COMPONENT = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (ResetRequest, StepRequest, ActionRequest, GradeRequest, BaselineRequest)


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


class ListedEpisode(BaseModel):
    """An episode as its player knows it at the time."""

    model_config = ConfigDict(extra="forbid")

    episode_id: str
    task: str | None
    split: str | None
    seed: int | None
    scale: int | None
    profile: str | None = Field(description="`undisclosed` in eval until the episode is over.")
    feedback: str | None = Field(description="What `score` is of: `truth`, or `checks` alone.")
    created_at: str
    status: Literal["running", "finished", "damaged"]
    steps: int
    score: float | None = Field(description="As the player sees it; the true one once the episode is over.")
    success: bool | None
    done_reason: str
    ui: str
    events: str
    postmortem: str


class EpisodePage(BaseModel):
    """A page of the list of episodes."""

    model_config = ConfigDict(extra="forbid")

    episodes: list[ListedEpisode]
    next: str | None = Field(description="Sent as `after`, it has the next page; null on the last one.")


class Event(BaseModel):
    """One of a stream of events."""

    model_config = ConfigDict(extra="forbid")

    event: Literal["line", "end", "error"] = Field(description="A line of the journal; the end; why there is no more.")
    id: str = Field(default="", description="The line's number; the end's is one more. An error has none.")
    data: str = Field(
        description="JSON. Of a line: line, step, actor, name, action, words, table, status, result, failing_checks, "
        "minutes, reward, score, done, done_reason, success. Of the end: episode_id, steps, score, return, success, "
        "done_reason. Of an error: detail, status."
    )


_MEANS = {
    204: "All of it has been seen, the end included: nothing will come any more.",
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


def _body(*forms: type[BaseModel]) -> Schema:
    """A request's body, in one of these forms; it may be left out where nothing is needed of one."""
    refs = [{"$ref": _COMPONENT.format(model=form.__name__)} for form in forms]
    required = all(any(field.is_required() for field in form.model_fields.values()) for form in forms)
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _parameters(model: type[BaseModel], leave_out: Iterable[str] = ()) -> list[Schema]:
    """The fields of a model as a query has them."""
    properties = model.model_json_schema()["properties"]
    return [_parameter(name, properties[name]) for name in properties if name not in leave_out]


def _parameter(name: str, schema: Schema, place: str = "query") -> Schema:
    """A field that is text in a query or a header, where null cannot be said."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else schema
    return {"name": name, "in": place, "required": False, "schema": schema}


def _route(
    *statuses: int,
    body: Schema | None = None,
    answer: type[BaseModel] | None = None,
    media: Mapping[str, Schema] = {},
    **extra: Any,
) -> Route:
    if body is not None:
        extra["requestBody"] = body
    refusals: dict[int, Any] = {status: {"model": Refusal, "description": _MEANS[status]} for status in statuses}
    served: dict[int, Any] = {200: {"model": answer}} if answer else {}
    if media:
        served = {200: {"content": {kind: {"schema": schema} for kind, schema in media.items()}}}
    return {"responses": served | refusals, "openapi_extra": extra}


_KEY = BesideAction.model_json_schema()["properties"]["request_id"]
RESET = _route(*_PLAYED, body=_body(ResetRequest), answer=Answer)
STEP = _route(
    *_PLAYED, body=_body(StepRequest, ActionRequest), answer=Answer, parameters=[_parameter(HEADER, _KEY, "header")]
)
OBSERVATION = _route(*_PLAYED, answer=Answer, parameters=_parameters(Named))
STATE = _route(*_PLAYED, parameters=_parameters(Named))
GRADE_QUERY = _route(*_PLAYED, parameters=_parameters(GradeRequest))
GRADE_TASK_QUERY = _route(*_PLAYED, parameters=_parameters(GradeRequest, leave_out=("task",)))
GRADE_BODY = _route(*_PLAYED, body=_body(GradeRequest))
BASELINE = _route(410, 503, body=_body(BaselineRequest))

_READ = (404, 410, 503)
LAST_EVENT_ID = "Last-Event-ID"
_LAST = EventsRequest.model_json_schema()["properties"]["last_event_id"]
EPISODES = _route(503, answer=EpisodePage, parameters=_parameters(EpisodesRequest))
EVENTS = _route(
    *_READ,
    media={"text/event-stream": Event.model_json_schema()},
    parameters=[*_parameters(EventsRequest), _parameter(LAST_EVENT_ID, _LAST, "header")],
)
EVENTS["responses"][204] = {"description": _MEANS[204]}
_TEXT = {"type": "string"}
POSTMORTEM = _route(
    *_READ, media={"text/html": _TEXT, "text/markdown": _TEXT}, parameters=_parameters(PostmortemRequest)
)


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
    _, bodies = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_COMPONENT)
    schema["components"]["schemas"] |= bodies["$defs"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema
