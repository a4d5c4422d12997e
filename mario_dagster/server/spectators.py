"""The routes of those who do not play: which episodes there are, what happens in one, and its postmortem.

In: requests. Out: JSON, a stream of events, a page. An episode is named by the path. Nothing is told that its player is
not told at that time.
"""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from sse_starlette import EventSourceResponse

from mario_dagster.env import schemas
from mario_dagster.env.arguments import read
from mario_dagster.env.errors import BadRequest, NoEpisode
from mario_dagster.env.options import episode_id
from mario_dagster.env.requests import EpisodesRequest, EventsRequest, PostmortemRequest
from mario_dagster.env.spectator import listed

from .events import stream
from .open_episodes import Episodes
from .routes import Arguments, Payload

MARKDOWN = "text/markdown"


def spectator_routes(episodes: Episodes) -> APIRouter:
    """`/episodes` and what is below it."""
    router = APIRouter(prefix="/episodes", tags=["Spectators"])

    @router.get("", summary="Which episodes there are", **schemas.EPISODES)
    def list_episodes(arguments: Arguments) -> Payload:
        """A page of the episodes in this server's home, newest first, each as its player knows it at the time."""
        from mario_dagster.sandbox.home import Home

        asked = read(EpisodesRequest, arguments, "a list of episodes")
        return listed(Home.default(), asked.limit, asked.after, asked.task, asked.finished)

    @router.get(
        "/{episode_id}/events",
        summary="What happens in an episode, as it happens",
        response_class=EventSourceResponse,
        **schemas.EVENTS,
    )
    def events(episode_id: str, request: Request, arguments: Arguments) -> Response:
        """Server-Sent Events: a `line` for each line of the journal, then `end`; whichever process plays.

        An event's id is the line's number. Whoever sends the last one back, as browsers do by themselves, is sent what
        came after it; 204 says that nothing will come any more.
        """
        asked = read(EventsRequest, arguments, "a look at events")
        id = _of_path(episode_id)
        return stream(id, _last_event_id(request, asked))

    @router.get(
        "/{episode_id}/postmortem", summary="What came of an episode", response_class=Response, **schemas.POSTMORTEM
    )
    def postmortem(episode_id: str, arguments: Arguments) -> Response:
        """What happened, what was done about it and, once the episode is over, what had been wrong."""
        from mario_dagster.postmortem.gather import postmortem_of
        from mario_dagster.postmortem.render import to_html, to_markdown

        asked = read(PostmortemRequest, arguments, "a postmortem")
        with episodes.use(_of_path(episode_id)) as episode:
            found = postmortem_of(episode)
        if asked.format == "md":
            return PlainTextResponse(to_markdown(found), media_type=MARKDOWN)
        return HTMLResponse(to_html(found))

    return router


def _of_path(id: str) -> str:
    """The id of an episode that a path names; what could not be one's names none."""
    try:
        return episode_id(id)
    except BadRequest as error:
        raise NoEpisode(str(error)) from None


def _last_event_id(request: Request, asked: EventsRequest) -> int | None:
    """The newest event that is known: as a header says, else the query."""
    header = request.headers.get(schemas.LAST_EVENT_ID)
    if header is None:
        return asked.last_event_id
    number = int(header) if re.fullmatch("[0-9]{1,20}", header) else header
    return read(EventsRequest, {"last_event_id": number}, "a look at events").last_event_id
