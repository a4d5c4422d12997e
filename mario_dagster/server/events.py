"""An episode's lines as Server-Sent Events: those that there are, then each as it comes, to the end of the episode.

In: the journal on disk, so that it does not matter which process plays. Out: an event a line, whose id is the line's
number, and an `end`. The database is asked only when its files have changed, in a thread that no request waits for.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from mario_dagster.core.errors import StorageError
from mario_dagster.env.episode import told as refusal
from mario_dagster.env.episode_state import Line, episode_state
from mario_dagster.env.errors import NoEpisode, PlayError
from mario_dagster.env.options import episode_id
from mario_dagster.env.spectator import ended, told

POLL_SECONDS = 0.2
KEEP_ALIVE_SECONDS = 15
GRACE_SECONDS = 5
LINE, END, ERROR = "line", "end", "error"
NO_CONTENT = 204
Stamp = tuple[tuple[int, int, int] | None, ...]


class Follower:
    """The journal of one episode, looked at again and again, by one thread at a time.

    Raises:
        NoEpisode: there is none of that id.
        EpisodeDamaged, StorageUnavailable: it cannot be read.
    """

    def __init__(self, id: str):
        from mario_dagster.runtime.database import DATABASE, Database
        from mario_dagster.sandbox.home import Home
        from mario_dagster.sandbox.journal import Journal

        self.id, self._home = id, Home.default()
        if not self._home.exists(episode_id(id)):
            raise NoEpisode(f"no episode '{id}'; GET /episodes lists those there are")
        root = self._home.sandbox(id)
        path = root / "dagster" / DATABASE
        self._files = (path, path.with_name(f"{path.name}-wal"))
        self._database = Database(str(path))
        self._journal = Journal(root, self._database)
        self._seen: Stamp | None = None
        self.lines: Sequence[Line] = ()
        try:
            self._home.check(id)
            self.look()
        except StorageError as error:
            self.close()
            raise refusal(error, id) from error

    def look(self) -> None:
        """Read the lines anew, where the files are not as they were. Raises `PlayError` where that cannot be done."""
        try:
            if not self._home.exists(self.id):
                raise NoEpisode(f"episode '{self.id}' has been deleted")
            # Before the lines: what is written meanwhile is seen at the next look.
            stamp = tuple(map(_stamp, self._files))
            if stamp != self._seen:
                self.lines = self._journal.lines()
                self._seen = stamp
        except StorageError as error:
            raise refusal(error, self.id) from error

    @property
    def over(self) -> bool:
        return bool(self.lines and self.lines[-1].get("done"))

    def close(self) -> None:
        """Let go of the file."""
        self._database.dispose()


def stream(id: str, last: int | None) -> Response:
    """The answer to a spectator who has seen the event `last`, or none yet.

    Raises:
        NoEpisode, EpisodeDamaged, StorageUnavailable: there is nothing to be seen.
    """
    follower = Follower(id)
    seen = -1 if last is None else last
    if follower.over and seen >= len(follower.lines):
        # To an event source this says not to come again.
        follower.close()
        return Response(status_code=NO_CONTENT)
    stopping = anyio.Event()
    return EventSourceResponse(
        _events(follower, seen, stopping),
        # Set when the server is to stop: what has been begun is then brought to an end that clients understand.
        shutdown_event=stopping,
        shutdown_grace_period=GRACE_SECONDS,
        ping=KEEP_ALIVE_SECONDS,
        ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
        sep="\n",
    )


async def _events(follower: Follower, seen: int, stopping: anyio.Event) -> AsyncIterator[ServerSentEvent]:
    """Lines behind the one that was seen, and the end; or why they cannot be told any more."""
    # Not one of the threads that requests wait for.
    thread = anyio.CapacityLimiter(1)
    try:
        while not stopping.is_set():
            lines = follower.lines
            for number, line in enumerate(lines[seen + 1 :], seen + 1):
                seen = number
                yield _event(LINE, told(number, line), number)
            if follower.over:
                yield _event(END, ended(episode_state(lines)), len(lines))
                return
            with anyio.move_on_after(POLL_SECONDS):
                await stopping.wait()
            await run_sync(follower.look, limiter=thread)
    except PlayError as error:
        yield _event(ERROR, {"detail": str(error), "status": error.status})
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(follower.close, limiter=thread)


def _event(kind: str, data: Mapping[str, Any], number: int | None = None) -> ServerSentEvent:
    return ServerSentEvent(json.dumps(data), event=kind, id=None if number is None else str(number), sep="\n")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes with a file; None where there is none."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
