"""Episodes by id, for requests that come one at a time: any process can answer the next one.

In: an id, or none. Out: the episode it names, open for one caller at a time. The sandboxes on disk are the registry;
what is kept here is only which of them this process has open, so that a step need not open one again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mario_dagster.core.files import OPEN
from mario_dagster.env.episode import Episode, Reply
from mario_dagster.env.errors import Ambiguous, NoEpisode, PlayError
from mario_dagster.env.options import ResetOptions, episode_id

VIA = "http"
MAX_OPEN = 32


class Episodes:
    """Opens episodes by id and keeps the newest few open."""

    def __init__(self, max_open: int = MAX_OPEN):
        self._max_open = max_open
        self._open: OrderedDict[str, _OpenEpisode] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, options: ResetOptions) -> tuple[str, Reply]:
        """A new episode's id and its first reply."""
        episode = Episode.start(options, via=VIA)
        reply = episode.reply()
        with self._lock:
            self._open[episode.id] = _OpenEpisode(episode)
        self._close_surplus()
        return episode.id, reply

    @contextmanager
    def use(self, id: str) -> Iterator[Episode]:
        """The episode of that id, for this caller alone while the block lasts.

        Raises:
            NoEpisode: there is none.
        """
        with self._lock:
            opened = self._open.setdefault(episode_id(id), _OpenEpisode())
            self._open.move_to_end(id)
            opened.users += 1
        try:
            with opened.lock:
                if opened.episode is None or not opened.episode.exists:
                    opened.episode = self._resume(id)
                yield opened.episode
        finally:
            with self._lock:
                opened.users -= 1
            self._close_surplus()

    def take_up(self, id: str, run_id: str) -> None:
        """Have a run that a person launched in an episode's UI written down as a step of it."""
        with self.use(id) as episode:
            episode.take_up()

    def show(self, id: str) -> None:
        """See that an episode's UI, which is about to be opened, tells how it stands; what is wrong, it says itself."""
        with suppress(PlayError), self.use(id) as episode:
            episode.show()

    def the_only_one(self) -> str:
        """The id a request means that names none: the one HTTP episode that is under way.

        Raises:
            Ambiguous: there is none, or more than one.
        """
        live: list[str] = [info.id for info in _home().sandboxes() if info.status == OPEN and info.via == VIA]
        if len(live) == 1:
            return live[0]
        found = "no episode is" if not live else f"{len(live)} episodes are"
        raise Ambiguous(f"{found} under way over HTTP; send the episode_id that POST /reset answered with")

    def close(self) -> None:
        """Let go of every sandbox."""
        with self._lock:
            all_opened, self._open = list(self._open.values()), OrderedDict()
        for opened in all_opened:
            with opened.lock:
                opened.leave()

    def _resume(self, id: str) -> Episode:
        try:
            return Episode.resume(id)
        except NoEpisode:
            with self._lock:
                self._open.pop(id, None)
            raise

    def _close_surplus(self) -> None:
        with self._lock:
            idle = [id for id, opened in self._open.items() if not opened.users and not opened.lock.locked()]
            surplus = [self._open.pop(id) for id in idle[: max(0, len(self._open) - self._max_open)]]
        for opened in surplus:
            with opened.lock:
                opened.leave()


class _OpenEpisode:
    """One episode's place: who waits for it, and the lock that lets them in one by one."""

    def __init__(self, episode: Episode | None = None) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.episode = episode

    def leave(self) -> None:
        if self.episode is not None:
            self.episode.close()
            self.episode = None


def _home() -> Any:
    from mario_dagster.sandbox.home import Home

    return Home.default()
