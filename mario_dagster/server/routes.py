"""The HTTP routes: play by `episode_id`, grade what was played, read the cards.

In: requests. Out: JSON. OpenEnv's own `/reset` and `/step` make a fresh environment a call, so that no second step
could find the first one's episode; these find it on disk, in whichever process answers. An episode is named in the
body, in the query or by the cookie that `/reset` set; a request that names none is served only where it can mean one
alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from mario_dagster.core.registry import tasks
from mario_dagster.env.environment import move, observation
from mario_dagster.env.episode import Reply
from mario_dagster.env.errors import BadRequest, NoEpisode, WrongTask
from mario_dagster.env.models import MarioAction, MarioObservation, MarioState
from mario_dagster.env.openenv import serialize_observation
from mario_dagster.env.options import KEYWORDS, reset_options, task_named
from mario_dagster.env.players import play

from . import cards
from .open_episodes import Episodes
from .request_guard import parse_json

COOKIE = "mario_episode"
STEP_KEYS = ("action", "episode_id", "task", "task_id", "timeout_s", "request_id")
GRADE_KEYS = ("episode_id", "task", "task_id", "seed", "split", "baseline")
BASELINE_KEYS = ("seed", "split", "policy_mode")
Payload = dict[str, Any]


async def payload(request: Request) -> Payload:
    """The request's arguments: the body's object, and what only the query has. No body is an empty one."""
    raw = await request.body()
    body = parse_json(raw) if raw.strip() else {}
    if not isinstance(body, dict):
        raise BadRequest(f"the body must be a JSON object, not {type(body).__name__}")
    return {**request.query_params, **body}


Arguments = Annotated[Payload, Depends(payload)]


def _body(schema: Mapping[str, Any], required: bool = False) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": dict(schema)}}}}


def _keys(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {} for name in names}, "additionalProperties": False}


RESET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "episode_id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
        "task": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "task_id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "split": {"enum": ["train", "eval"]},
        "profile": {"type": "string"},
        "scale": {"type": "integer", "minimum": 1, "maximum": 1000},
        "feedback": {"enum": ["truth", "checks"]},
        "index": {"type": "integer", "minimum": 0},
    },
    "examples": [{"task": "temporal", "seed": 42, "split": "train"}],
}
STEP_SCHEMA = {
    "type": "object",
    "properties": {"action": {"type": "object"}, "episode_id": {"type": "string"}},
    "examples": [{"episode_id": "my-episode", "action": {"action_id": 1}}],
}


def play_routes(episodes: Episodes) -> APIRouter:
    """`/reset`, `/step`, `/state`."""
    router = APIRouter(tags=["Environment Control"])

    @router.post("/reset", summary="Start an incident", openapi_extra=_body(RESET_SCHEMA))
    def reset(response: Response, arguments: Arguments) -> Payload:
        """Break a fresh sandbox's pipeline. The answer's `episode_id` names the episode in every later request."""
        id, reply = episodes.start(reset_options(_numbers(arguments, "seed", "scale", "index")))
        response.set_cookie(COOKIE, id, httponly=True, samesite="lax")
        return _reply(id, reply)

    @router.post("/step", summary="Play one action", openapi_extra=_body(STEP_SCHEMA, required=True))
    def step(request: Request, arguments: Arguments) -> Payload:
        """Play `{"action": {...}}`, or the action's own fields, in the episode that is named."""
        action, rest = _action(arguments)
        id = _named(request, rest, episodes)
        with episodes.use(id) as episode:
            _same_task(rest, episode.task.id)
            return _reply(id, episode.step(move(action)))

    @router.get("/state", summary="Where an episode stands", response_model=MarioState)
    def state(request: Request, arguments: Arguments) -> MarioState:
        _only(arguments, "episode_id", "task", "task_id")
        with episodes.use(_named(request, arguments, episodes)) as episode:
            _same_task(arguments, episode.task.id)
            return MarioState(**episode.state())

    return router


def grade_routes(episodes: Episodes) -> APIRouter:
    """`/grader`, `/grade/{task}` and their debugging twins: scores of episodes that were played, and of no other."""
    router = APIRouter(tags=["Grading"])

    def grade(request: Request, arguments: Payload) -> Payload:
        _only(arguments, *GRADE_KEYS)
        if "baseline" in arguments:
            return _baseline_grade(arguments)
        with episodes.use(_named(request, arguments, episodes)) as episode:
            _same_task(arguments, episode.task.id)
            return {**episode.summary(), "grader_mode": "episode"}

    def brief(graded: Payload) -> Payload:
        names = ("episode_id", "task_id", "score", "reward", "finished", "feedback", "grader_mode")
        return {name: graded[name] for name in names}

    @router.api_route("/grader", methods=["GET", "POST"], openapi_extra=_body(_keys(*GRADE_KEYS)))
    def grader(request: Request, arguments: Arguments) -> Payload:
        """The score of an episode. An unfinished one's is the present one, as its player sees it, marked unfinished."""
        return brief(grade(request, arguments))

    @router.api_route("/grade/{task}", methods=["GET", "POST"], openapi_extra=_body(_keys(*GRADE_KEYS)))
    def grade_task(task: str, request: Request, arguments: Arguments) -> Payload:
        """The same, for an episode of this task only."""
        return brief(grade(request, {**arguments, "task": _task_in_path(task)}))

    @router.api_route("/grader/debug", methods=["GET", "POST"])
    def grader_debug(request: Request, arguments: Arguments) -> Payload:
        """The same with everything that is known of the episode."""
        return grade(request, arguments)

    @router.api_route("/grade-debug/{task}", methods=["GET", "POST"])
    def grade_debug(task: str, request: Request, arguments: Arguments) -> Payload:
        return grade(request, {**arguments, "task": _task_in_path(task)})

    @router.post("/baseline", openapi_extra=_body(_keys(*BASELINE_KEYS)))
    def baseline(arguments: Arguments) -> Payload:
        """Let an installed policy play every task here, and say how it went."""
        _only(arguments, *BASELINE_KEYS)
        policy = str(arguments.get("policy_mode", "heuristic"))
        given = _numbers({"seed": 42, "split": "train", **arguments}, "seed")
        played = [
            play(policy, reset_options({"task": task.slug, "seed": given["seed"], "split": given["split"]}))
            for task in tasks()
        ]
        return {"policy_mode": policy, "seed": given["seed"], "split": given["split"], "results": played}

    return router


def card_routes() -> APIRouter:
    """What can be read without an episode."""
    router = APIRouter(tags=["Environment Info"])

    @router.get("/tasks")
    def list_tasks(request: Request) -> Payload:
        """Every task, with where its grader answers."""
        base = _public_url(request)
        return {"tasks": [cards.task_card(task, base) for task in tasks()]}

    @router.get("/benchmark-metadata")
    @router.get("/benchmark/metadata")
    def metadata() -> Payload:
        return cards.benchmark_metadata()

    @router.get("/benchmark/tasks")
    def benchmark_tasks() -> Payload:
        return cards.benchmark_tasks()

    @router.get("/benchmark/profiles")
    def benchmark_profiles() -> Payload:
        return cards.benchmark_profiles()

    @router.get("/benchmark/runs")
    def benchmark_runs() -> Payload:
        return cards.artifact(_bench_folder(), cards.RUNS)

    @router.get("/benchmark/adaptation")
    def benchmark_adaptation() -> Payload:
        return cards.artifact(_bench_folder(), cards.ADAPTATION)

    @router.get("/validate")
    def validate(request: Request) -> Payload:
        """Whether the server has what a benchmark's server must have."""
        return _self_check(request)

    return router


def page_routes() -> APIRouter:
    """Where a browser lands; not for a server with OpenEnv's web interface, which has pages of its own."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    @router.get("/web")
    def web() -> RedirectResponse:
        return RedirectResponse("/")

    return router


# --- reading requests -------------------------------------------------------------------------------------------------


def _only(arguments: Payload, *names: str) -> None:
    unknown = next((name for name in arguments if name not in names), None)
    if unknown is not None:
        raise BadRequest(f"no argument '{unknown[:80]}' here; it takes {', '.join(names)}")


def _numbers(arguments: Payload, *names: str) -> Payload:
    """Arguments with those of a query, which are text, read as the whole numbers they spell."""
    read = dict(arguments)
    for name in names:
        value = read.get(name)
        if isinstance(value, str) and len(value) <= 20 and value.lstrip("-").isdecimal():
            read[name] = int(value)
    return read


def _action(arguments: Payload) -> tuple[MarioAction, Payload]:
    """The action of a step, and the arguments beside it."""
    if "action" in arguments:
        fields, rest = arguments["action"], {name: value for name, value in arguments.items() if name != "action"}
        _only(arguments, *STEP_KEYS)
    else:
        rest = {name: arguments[name] for name in STEP_KEYS if name in arguments}
        fields = {name: value for name, value in arguments.items() if name not in rest}
    if isinstance(fields, int) and not isinstance(fields, bool):
        fields = {"action_id": fields}
    if not isinstance(fields, dict) or not fields:
        raise BadRequest('a step takes an action: {"action": {"action_id": 0 to 19, ...}}')
    try:
        return MarioAction.model_validate(fields), rest
    except ValidationError as error:
        raise BadRequest(f"not an action: {in_words(error.errors())}") from None


def in_words(errors: Any) -> str:
    """A validation error's findings on one line, without the values that were sent."""
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in list(errors)[:5])


def _named(request: Request, arguments: Payload, episodes: Episodes) -> str:
    """The id of the episode that a request means: in its arguments, else its cookie, else the only one there is."""
    id = arguments.get("episode_id") or request.cookies.get(COOKIE)
    return id if id is not None else episodes.the_only_one()


def _same_task(arguments: Payload, task_id: int) -> None:
    for name in ("task", "task_id"):
        if arguments.get(name) is not None:
            asked = task_named(arguments[name])
            if asked.id != task_id:
                raise WrongTask(f"that episode is one of task {task_id}, not of task {asked.id} ('{asked.slug}')")


def _task_in_path(name: str) -> str:
    try:
        return task_named(name).slug
    except BadRequest as error:
        raise NoEpisode(str(error)) from None


def _baseline_grade(arguments: Payload) -> Payload:
    """The score of a policy that is asked for by name, in an episode of its own."""
    if "episode_id" in arguments:
        raise BadRequest("either an episode_id or a baseline: a baseline plays an episode of its own")
    given = _numbers({"seed": 42, "split": "eval", **arguments}, "seed")
    policy = str(given.pop("baseline"))
    return {**play(policy, reset_options(given)), "grader_mode": f"baseline:{policy}"}


def _reply(id: str, reply: Reply) -> Payload:
    return {**serialize_observation(observation(reply)), "episode_id": id}


# --- what the server says of itself -----------------------------------------------------------------------------------


def _public_url(request: Request) -> str:
    """The address a client sees, behind a proxy too."""
    named = os.environ.get("MARIO_PUBLIC_BASE_URL")
    if named:
        return named.rstrip("/")
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    host = request.headers.get("x-forwarded-host", request.url.netloc).split(",")[0].strip()
    return f"{scheme}://{host}"


def _bench_folder() -> Path:
    return Path(os.environ.get("MARIO_BENCH") or "bench")


def _self_check(request: Request) -> Payload:
    paths = request.app.openapi()["paths"]
    checks = {
        "routes": all(
            f"/{name}" in paths for name in ("reset", "step", "state", "grader", "tasks", "health", "schema")
        ),
        "typed_models": all(model.model_json_schema() for model in (MarioAction, MarioObservation, MarioState)),
        "tasks": bool(tasks()),
        "graders": all(task.objective_weights for task in tasks()),
        "shaped_reward": all(task.card.dense_shaping_notes for task in tasks()),
        "reset_keywords": set(KEYWORDS) == set(RESET_SCHEMA["properties"]),
    }
    return {"valid": all(checks.values()), "checks": checks}
