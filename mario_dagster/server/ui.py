"""The Dagster UI of every episode, under `/ui/<episode_id>/`.

In: requests and WebSockets. Out: whatever the episode's own UI answers; a page in words where there is none. A UI is
opened when it is first asked for and closed when nobody has asked for a while: the sandboxes on disk are the registry.
"""

from __future__ import annotations

import asyncio
import html
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from mario_dagster.core.errors import Damaged, StorageError, Unavailable, UnknownName

if TYPE_CHECKING:
    from mario_dagster.sandbox.ui import OpenUI

PATH = "/ui"
MAX_OPEN = 50
IDLE_SECONDS = 900.0
# What a WebSocket is closed with where there is no such episode.
NO_EPISODE_CODE = 4404
_PAGE = "<!doctype html><title>{title}</title><body style='font-family: sans-serif; margin: 3em'><h1>{title}</h1>{text}"


def _nothing(*_: object) -> None:
    """Tells nobody."""


class _Open:
    """One episode's place: its UI, and how many requests it answers now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.used = 0.0
        self.ui: OpenUI | None = None


def _from_elsewhere(scope: Scope) -> bool:
    """Whether a browser says that a page of another origin is asking."""
    headers = {name: value.decode("latin-1") for name, value in scope.get("headers", ())}
    origin, host = headers.get(b"origin"), headers.get(b"host", "")
    return origin is not None and origin.partition("://")[2] != host


class EpisodeUIs:
    """The UIs of all episodes: an ASGI app to be mounted at `/ui`.

    Args:
        allow_repair: whether runs can be launched in them while their episode is under way.
        on_open: told the episode whose UI is about to be opened.
        on_run_finished: told the episode and the id of each run that was launched, once it is committed.
        max_open: how many are kept open; more than that only while they answer.
        idle_seconds: after how long without a request one is closed.
    """

    def __init__(
        self,
        *,
        allow_repair: bool = False,
        on_open: Callable[[str], None] = _nothing,
        on_run_finished: Callable[[str, str], None] = _nothing,
        max_open: int = MAX_OPEN,
        idle_seconds: float = IDLE_SECONDS,
    ):
        self._allow_repair = allow_repair
        self._on_open = on_open
        self._on_run_finished = on_run_finished
        self._max_open = max_open
        self._idle_seconds = idle_seconds
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._sweeping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The UI's routes have its whole path in them, so that what stands before the mount belongs to them too.
        scope = {**scope, "root_path": scope.get("app_root_path", "")}
        id = scope["path"].removeprefix(f"{PATH}/").partition("/")[0]
        if self._allow_repair and _from_elsewhere(scope):
            # Elsewhere any page may ask; here a page that somebody has open could launch runs in their name.
            await _answer(scope, receive, send, 403, "Not from here", "this UI takes requests of its own pages only")
            return
        with self._lock:
            place = self._open.setdefault(id, _Open())
            self._open.move_to_end(id)
            place.users += 1
        try:
            ui = await run_in_threadpool(self._opened, id, place)
            await ui(scope, receive, send)
        except (LookupError, ValueError, StorageError) as error:
            if place.ui is not None:
                raise
            await _no_ui(scope, receive, send, id, error)
        finally:
            with self._lock:
                place.users -= 1
                place.used = time.monotonic()
            self._sweep()
            self._sweep_later()

    def __len__(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """Let go of every UI."""
        with self._lock:
            places, self._open = list(self._open.values()), OrderedDict()
        for place in places:
            _close(place)

    def _opened(self, id: str, place: _Open) -> OpenUI:
        """The UI of an episode, opened where it is not. Raises what `OpenUI` does."""
        with place.lock:
            if place.ui is not None and place.ui.stale:
                # Requests that it still answers find it closed, and a page asks again by itself.
                place.ui.close()
                place.ui = None
            if place.ui is None:
                place.ui = self._opening(id)
            return place.ui

    def _opening(self, id: str) -> OpenUI:
        from mario_dagster.sandbox.ui import OpenUI

        self._on_open(id)
        tell = partial(self._on_run_finished, id)
        return OpenUI(id, prefix=f"{PATH}/{id}", allow_repair=self._allow_repair, on_run_finished=tell)

    def _sweep_later(self) -> None:
        """Look for idle ones again, once for however many requests there are until then."""
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(self._idle_seconds, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweeping = False
        self._sweep()
        if self._open:
            self._sweep_later()

    def _sweep(self) -> None:
        """Close what nobody uses: the longest unused beyond `max_open`, and what is idle for too long."""
        now = time.monotonic()
        with self._lock:
            unused = [id for id, place in self._open.items() if not place.users]
            surplus = set(unused[: max(0, len(self._open) - self._max_open)])
            gone = [
                self._open.pop(id)
                for id in unused
                if id in surplus or self._open[id].ui is None or now - self._open[id].used > self._idle_seconds
            ]
        for place in gone:
            if place.ui is not None:
                # Beside the requests: it may have a backfill to bring to its end.
                threading.Thread(target=_close, args=(place,), name="mario-ui-close", daemon=True).start()


def _close(place: _Open) -> None:
    with place.lock:
        if place.ui is not None:
            place.ui.close()
            place.ui = None


async def _no_ui(scope: Scope, receive: Receive, send: Send, id: str, error: Exception) -> None:
    """Say in words why there is no UI."""
    status, title = 404, "No such episode"
    if isinstance(error, Damaged):
        status, title = 410, "This episode is damaged"
    elif isinstance(error, Unavailable):
        status, title = 503, "This episode is out of reach for now"
    elif not isinstance(error, UnknownName) or not id:
        error = ValueError(f"the UI of an episode is at {PATH}/<episode_id>/; POST /reset answers with an id")
    await _answer(scope, receive, send, status, title, str(error))


async def _answer(scope: Scope, receive: Receive, send: Send, status: int, title: str, text: str) -> None:
    """A page in words; of a WebSocket, a close in words."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": NO_EPISODE_CODE, "reason": text[:120]})
        return
    page = _PAGE.format(title=title, text=f"<p>{html.escape(text)}</p>")
    await HTMLResponse(page, status_code=status)(scope, receive, send)
