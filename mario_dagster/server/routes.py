"""The HTTP routes: play by `episode_id`, grade what was played, read the cards.

In: requests. Out: JSON. OpenEnv's own `/reset` and `/step` make a fresh environment a call, so that no second step
could find the first one's episode; these find it on disk, in whichever process answers. An episode is named in the
body, in the query or by the cookie that `/reset` set; a request that names none is served only where it can mean one
alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from mario_dagster.core.places import home_folder, trouble
from mario_dagster.core.registry import tasks
from mario_dagster.env import schemas
from mario_dagster.env.arguments import quoted, read
from mario_dagster.env.environment import move, observation
from mario_dagster.env.episode import Reply
from mario_dagster.env.errors import BadRequest, NoEpisode, WrongTask
from mario_dagster.env.keys import HEADER, keys_in, one_key
from mario_dagster.env.models import MarioAction, MarioObservation, MarioState
from mario_dagster.env.openenv import serialize_observation
from mario_dagster.env.options import Named, ResetRequest, episode_id, reset_options, task_named
from mario_dagster.env.players import play
from mario_dagster.env.requests import BaselineRequest, GradeRequest, read_step
from mario_dagster.env.resumption import Resumption
from mario_dagster.server import cards

from .open_episodes import Episodes
from .request_guard import json_type, parse_json

COOKIE, HEALTH = "mario_episode", "/health"
MUST_HAVE = ("reset", "step", "state", "observation", "grader", "tasks", "health", "schema")
# What a query, which is text, spells: as a body would have it.
NUMBERS = ("seed", "scale", "index", "action_id", "limit", "last_event_id")
TRUTH_NAMES = ("resume", "finished")
TRUTHS = {"true": True, "false": False}
Payload = dict[str, Any]


async def payload(request: Request) -> Payload:
    """The request's arguments: the body's object, and what only the query has. No body is an empty one."""
    raw = await request.body()
    body = parse_json(raw) if raw.strip() else {}
    if not isinstance(body, dict):
        raise BadRequest(f"the body must be a JSON object, not {json_type(body)}")
    return {**_query(request), **body}


def _query(request: Request) -> Payload:
    """A query's arguments, numbers and truths read: text in a body is text, here there is nothing else."""
    read: Payload = {}
    for name, value in request.query_params.multi_items():
        if name in read:
            raise BadRequest(f"argument {quoted(name)} is there twice")
        number = name in NUMBERS and re.fullmatch("-?[0-9]{1,20}", value)
        read[name] = int(value) if number else TRUTHS.get(value, value) if name in TRUTH_NAMES else value
    return read


Arguments = Annotated[Payload, Depends(payload)]


def play_routes(episodes: Episodes) -> APIRouter:
    """`/reset`, `/step`, `/state`, `/observation`."""
    router = APIRouter(tags=["Environment Control"])

    @router.post("/reset", summary="Start an incident, or go on with an episode", **schemas.RESET)
    def reset(response: Response, arguments: Arguments) -> Payload:
        """Break a fresh sandbox's pipeline. The answer's `episode_id` names the episode in every later request.

        With `"resume": true` the episode of that id goes on instead, and is answered as it was answered last.
        """
        wanted = Resumption.wanted(arguments)
        id = wanted.episode_id if wanted else episodes.start(reset_options(arguments))[0]
        with episodes.use(id) as episode:
            if wanted:
                wanted.check(episode)
            reply = episode.newest()
        response.set_cookie(COOKIE, id, httponly=True, samesite="lax")
        return _reply(id, reply)

    @router.post("/step", summary="Play one action", **schemas.STEP)
    def step(request: Request, arguments: Arguments) -> Payload:
        """Play `{"action": {...}}`, or the action's own fields, in the episode that is named.

        A step that is sent again under the `Idempotency-Key` of the newest step is not played again: the answer is the
        one that it had.
        """
        action, beside = read_step(arguments)
        keys = (beside.request_id, beside.idempotency_key)
        key = one_key([*request.headers.getlist(HEADER), *keys, *keys_in(action.metadata)])
        id = _named(request, beside, episodes)
        with episodes.use(id) as episode:
            _same_task(beside, episode.task.id)
            return _reply(id, episode.step(move(action), key))

    @router.get("/observation", summary="The newest answer again", **schemas.OBSERVATION)
    def newest(request: Request, arguments: Arguments) -> Payload:
        """What the newest `/reset` or `/step` of the episode was answered with, for whoever lost it."""
        named = read(Named, arguments, "a question")
        id = _named(request, named, episodes)
        with episodes.use(id) as episode:
            _same_task(named, episode.task.id)
            return _reply(id, episode.newest())

    @router.get("/state", summary="Where an episode stands", response_model=MarioState, **schemas.STATE)
    def state(request: Request, arguments: Arguments) -> MarioState:
        named = read(Named, arguments, "a question")
        with episodes.use(_named(request, named, episodes)) as episode:
            _same_task(named, episode.task.id)
            return MarioState(**episode.state())

    return router


def grade_routes(episodes: Episodes) -> APIRouter:
    """`/grader`, `/grade/{task}` and their debugging forms: scores of episodes that were played, and of no other."""
    router = APIRouter(tags=["Grading"])

    def grade(request: Request, arguments: Payload) -> Payload:
        asked = read(GradeRequest, arguments, "a question")
        if asked.baseline is not None:
            return _baseline_grade(asked)
        with episodes.use(_named(request, asked, episodes)) as episode:
            _same_task(asked, episode.task.id)
            return {**episode.summary(), "grader_mode": "episode"}

    def brief(graded: Payload) -> Payload:
        names = ("episode_id", "task_id", "score", "reward", "finished", "feedback", "grader_mode")
        return {name: graded[name] for name in names}

    @router.get("/grader", **schemas.GRADE_QUERY)
    @router.post("/grader", **schemas.GRADE_BODY)
    def grader(request: Request, arguments: Arguments) -> Payload:
        """The score of an episode. An unfinished one's is the present one, as its player sees it, marked unfinished."""
        return brief(grade(request, arguments))

    @router.get("/grade/{task}", **schemas.GRADE_TASK_QUERY)
    @router.post("/grade/{task}", **schemas.GRADE_BODY)
    def grade_task(task: str, request: Request, arguments: Arguments) -> Payload:
        """The same, for an episode of this task only."""
        return brief(grade(request, _of_path(arguments, task)))

    @router.get("/grader/debug", **schemas.GRADE_QUERY)
    @router.post("/grader/debug", **schemas.GRADE_BODY)
    def grader_debug(request: Request, arguments: Arguments) -> Payload:
        """The same with everything that is known of the episode."""
        return grade(request, arguments)

    @router.get("/grade-debug/{task}", **schemas.GRADE_TASK_QUERY)
    @router.post("/grade-debug/{task}", **schemas.GRADE_BODY)
    def grade_debug(task: str, request: Request, arguments: Arguments) -> Payload:
        return grade(request, _of_path(arguments, task))

    @router.post("/baseline", **schemas.BASELINE)
    def baseline(arguments: Arguments) -> Payload:
        """Let an installed policy play every task here, and say how it went."""
        asked = read(BaselineRequest, arguments, "a baseline")
        incident = {"seed": asked.seed, "split": asked.split}
        played = [play(asked.policy_mode, reset_options({"task": task.slug, **incident})) for task in tasks()]
        return {"policy_mode": asked.policy_mode, **incident, "results": played}

    return router


def card_routes() -> APIRouter:
    """What can be read without an episode."""
    router = APIRouter(tags=["Environment Info"])

    @router.get("/tasks")
    def list_tasks(request: Request) -> Payload:
        """Every task, with where its grader answers."""
        base = _public_url(request)
        return {"tasks": [cards.task_card(task, base) for task in tasks()]}

    # Named: by their paths the two would have one operation id.
    @router.get("/benchmark-metadata", operation_id="benchmark_metadata_get")
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


def health_route() -> APIRouter:
    """Whether episodes can be made and played here; OpenEnv's own says only that it answers."""
    router = APIRouter(tags=["Health"])

    @router.get(HEALTH, summary="Whether episodes can be made and played", responses={503: {"description": "Not now"}})
    def health() -> JSONResponse:
        """`healthy`, or 503 with what is wrong with home, truth or disk, in words."""
        found = trouble(home_folder())
        if found:
            return JSONResponse({"status": "unhealthy", "trouble": dict(found)}, status_code=503)
        return JSONResponse({"status": "healthy"})

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


def _named(request: Request, named: Named, episodes: Episodes) -> str:
    """The id of the episode that a request means: in its arguments, else its cookie, else the only one there is."""
    cookie = request.cookies.get(COOKIE)
    return named.episode_id or (episodes.the_only_one() if cookie is None else episode_id(cookie))


def _same_task(named: Named, task_id: int) -> None:
    for asked in (named.task, named.task_id):
        if asked is not None and asked.id != task_id:
            raise WrongTask(f"that episode is one of task {task_id}, not of task {asked.id} ('{asked.slug}')")


def _of_path(arguments: Payload, name: str) -> Payload:
    """The arguments of a route whose path names the task."""
    try:
        slug = task_named(name).slug
    except BadRequest as error:
        raise NoEpisode(str(error)) from None
    named = arguments.get("task")
    if named is not None and task_named(named).slug != slug:
        raise BadRequest(f"the path is task '{slug}''s, the argument task says {quoted(named)}; leave it out")
    return {**arguments, "task": slug}


def _baseline_grade(asked: GradeRequest) -> Payload:
    """The score of a policy that is asked for by name, in an episode of its own."""
    if asked.episode_id is not None:
        raise BadRequest("either an episode_id or a baseline: a baseline plays an episode of its own")
    seed = 42 if asked.seed is None else asked.seed
    incident = {"task": asked.task, "task_id": asked.task_id, "seed": seed, "split": asked.split or "eval"}
    return {**play(asked.baseline, reset_options(incident)), "grader_mode": f"baseline:{asked.baseline}"}


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
    openapi = request.app.openapi()
    paths, described = openapi["paths"], openapi["components"]["schemas"]
    checks = {
        "routes": all(f"/{name}" in paths for name in MUST_HAVE),
        "typed_models": all(model.model_json_schema() for model in (MarioAction, MarioObservation, MarioState)),
        "tasks": bool(tasks()),
        "graders": all(task.objective_weights for task in tasks()),
        "shaped_reward": all(task.card.dense_shaping_notes for task in tasks()),
        "reset_keywords": ResetRequest.model_fields.keys() == described["ResetRequest"]["properties"].keys(),
    }
    return {"valid": all(checks.values()), "checks": checks}
