"""The server: OpenEnv's app with episodes that a second request can find, and nothing that ends in a 500.

In: environment variables (`MARIO_HOME`, `MARIO_MAX_SESSIONS`, `MARIO_ALLOW_REPAIR`, `ENABLE_WEB_INTERFACE`). Out:
`app`, for `mario serve`, or `uvicorn --http mario_dagster.env.transport:HttpProtocol mario_dagster.server.app:app`.
`/ws` is OpenEnv's own, one environment and one thread a socket; `/reset`, `/step` and `/state` are ours. Importing this
imports OpenEnv, which takes seconds.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from mario_dagster.core.errors import StorageError
from mario_dagster.env import schemas
from mario_dagster.env.arguments import in_words
from mario_dagster.env.environment import NAME, MarioEnvironment
from mario_dagster.env.episode import told
from mario_dagster.env.errors import PlayError
from mario_dagster.env.models import MarioAction, MarioObservation, MarioState
from mario_dagster.env.openenv import ServerMode, create_app

from .open_episodes import Episodes
from .request_guard import RequestGuard
from .routes import HEALTH, card_routes, grade_routes, health_route, page_routes, play_routes
from .spectators import spectator_routes
from .ui import PATH, EpisodeUIs

API_PREFIX = "/api"
DEFAULT_SESSIONS = 64
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
# When a disk that is full or held by somebody is worth asking again.
RETRY_AFTER_SECONDS = 5


def build_app() -> FastAPI:
    """A new app with episodes of its own process; sandboxes on disk are everyone's."""
    app: FastAPI = create_app(
        MarioEnvironment,
        MarioAction,
        MarioObservation,
        env_name=NAME,
        max_concurrent_envs=int(os.environ.get("MARIO_MAX_SESSIONS", DEFAULT_SESSIONS)),
        state_cls=MarioState,
        # OpenEnv's production mode is its app without the stateless /reset, /step and /state, which ours replace.
        mode=ServerMode.PRODUCTION,
    )
    episodes, web = Episodes(), _switched_on("ENABLE_WEB_INTERFACE")
    uis = EpisodeUIs(
        allow_repair=_switched_on("MARIO_ALLOW_REPAIR"), on_open=episodes.show, on_run_finished=episodes.take_up
    )
    routers = [play_routes(episodes), grade_routes(episodes), spectator_routes(episodes), card_routes()]
    if not web:
        routers.append(page_routes())
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") != HEALTH]
    for router in (health_route(), *routers):
        app.include_router(router)
    app.mount(PATH, uis)
    _describe(app)
    app.add_exception_handler(PlayError, _refused)
    app.add_exception_handler(StorageError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ValidationError, _misread)
    app.router.on_startup.append(_preload)
    app.router.on_shutdown += [uis.close, episodes.close]
    # The last one added stands first: CORS, then the prefix, then the guard.
    app.add_middleware(RequestGuard, web=web)
    app.add_middleware(ApiPrefix)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    return app


def _switched_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes")


class ApiPrefix:
    """Every route a second time under `/api`, as when the app stands behind a page of its own."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(f"{API_PREFIX}/"):
            scope = {**scope, "path": path[len(API_PREFIX) :], "raw_path": scope["raw_path"][len(API_PREFIX) :]}
        await self.app(scope, receive, send)


def _describe(app: FastAPI) -> None:
    """Have the app say of its routes what is so."""
    made = app.openapi

    def described() -> dict[str, Any]:
        return app.openapi_schema or schemas.truthful(made())

    app.openapi = described  # type: ignore[method-assign]


async def _refused(request: Request, error: Exception) -> JSONResponse:
    refusal = told(error, None) if isinstance(error, StorageError) else error
    status = refusal.status if isinstance(refusal, PlayError) else 422
    again = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return JSONResponse({"detail": str(refusal)}, status_code=status, headers=again)


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    # FastAPI's own handler says the input back, and fails on what JSON cannot hold.
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": in_words(found)}, status_code=422)


async def _misread(request: Request, error: Exception) -> JSONResponse:
    # OpenEnv's web interface reads an action without seeing to it that it is one. Elsewhere nobody foresaw this.
    if isinstance(error, ValidationError) and request.scope["path"] == "/web/step":
        return JSONResponse({"detail": in_words(error.errors())}, status_code=422)
    raise error


def _preload() -> None:
    """Import what the first reset and the first audit need, beside serving."""
    threading.Thread(target=_warm, name="mario-preload", daemon=True).start()


def _warm() -> None:
    try:
        import mario_dagster.sandbox.sandbox  # noqa: F401
        from mario_dagster.checks.audit import preload
        from mario_dagster.sandbox.home import Home

        # What killed servers left half made.
        Home.default().sweep()
        preload()
    except Exception:
        logging.getLogger(__name__).exception("preloading failed; the first request will show why")


def main(host: str = "127.0.0.1", port: int = 8000, **options: Any) -> None:
    """Serve until stopped."""
    import uvicorn

    from mario_dagster.env.transport import HttpProtocol

    # A page of a UI asks every few seconds, and what players ask would be lost among it.
    logging.getLogger("uvicorn.access").addFilter(_not_of_a_page)
    uvicorn.run(app, host=host, port=port, http=HttpProtocol, ws_max_size=MAX_MESSAGE_BYTES, **options)


def _not_of_a_page(record: logging.LogRecord) -> bool:
    """Whether a line of the access log (client, method, path, …) is of anything but a UI."""
    asked = record.args
    return not (isinstance(asked, tuple) and len(asked) > 2 and str(asked[2]).startswith(f"{PATH}/"))


app = build_app()

if __name__ == "__main__":
    main()
