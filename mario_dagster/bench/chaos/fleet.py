"""Servers on one home that come and go, and the requests that reach whichever is up.

In: a home, how many servers at once. Out: answers; `Cut` where a server died before it answered. Processes are killed
by the ids that they were born with, whole groups at once.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .nursery import HOST

STARTUP_SECONDS = 90.0
ANSWER_SECONDS = 60.0
LOG_TAIL = 1500


class Cut(Exception):
    """The server went away before it had answered: whether anything happened is to be asked."""


class OutOfTime(Exception):
    """The time that the whole may take is over."""


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


def ask(port: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    """One request.

    Raises:
        Cut: there was no answer, or only a part of one.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"content-type": "application/json"})
        reply = connection.getresponse()
        return Answer(reply.status, reply.read())
    except TimeoutError:
        return Answer(599, f"no answer to {method} {path} in {ANSWER_SECONDS:.0f} seconds".encode())
    except (OSError, http.client.HTTPException) as error:
        raise Cut(f"{method} {path}: {type(error).__name__}") from error
    finally:
        connection.close()


class Nursery:
    """The process that servers are born of; all of them end with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mario_dagster.bench.chaos.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lock = threading.Lock()

    def bear(self, home: Path, log: Path, cold: bool = False) -> tuple[int, int]:
        """A new server's process and port. It may take a while until it answers."""
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        wanted = {"port": port, "home": str(home), "log": str(log), "cold": cold}
        with self._lock:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.write(json.dumps(wanted) + "\n")
            self._process.stdin.flush()
            born = self._process.stdout.readline()
        if not born.strip():
            raise RuntimeError("no server could be started: `mario serve` says why")
        return int(born), port

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Fleet:
    """Servers on one home, each in its place; a place is empty between a kill and the next birth.

    Args:
        size: how many places there are.
        until: the moment, on the monotonic clock, at which nobody waits any longer.
    """

    def __init__(self, nursery: Nursery, home: Path, log: Path, *, size: int = 1, until: float = float("inf")):
        self._nursery, self._home, self.log, self._until = nursery, home, log, until
        self._places: list[tuple[int, int] | None] = [None] * size
        self._change = threading.Condition()

    @property
    def size(self) -> int:
        return len(self._places)

    def launch(self, place: int, cold: bool = False) -> None:
        """Fill a place, and wait until the server answers."""
        process, port = self._nursery.bear(self._home, self.log, cold)
        deadline = time.monotonic() + STARTUP_SECONDS
        while not _healthy(port):
            if time.monotonic() > deadline or not _alive(process):
                raise RuntimeError(f"the server did not start:\n{self.tail()}")
            time.sleep(0.01)
        with self._change:
            self._places[place] = (process, port)
            self._change.notify_all()

    def kill(self, place: int) -> None:
        """End the server of a place at once, with all that it has started."""
        with self._change:
            held, self._places[place] = self._places[place], None
        if held is not None:
            with suppress(ProcessLookupError):
                os.killpg(held[0], signal.SIGKILL)

    def close(self) -> None:
        """End every server; whoever waits for one is out of time."""
        with self._change:
            self._until = 0.0
            self._change.notify_all()
        for place in range(len(self._places)):
            self.kill(place)

    def port(self, turn: int) -> int:
        """Where to send the next request: to the places in turn, but to one that is filled.

        Raises:
            OutOfTime: none was filled in time.
        """
        with self._change:
            while True:
                order = [self._places[(turn + place) % len(self._places)] for place in range(len(self._places))]
                up = next((held for held in order if held is not None), None)
                if time.monotonic() > self._until:
                    raise OutOfTime
                if up is not None:
                    return up[1]
                self._change.wait(1.0)

    def tail(self) -> str:
        """The end of what the servers logged."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else ""


@contextmanager
def serving(fleet: Fleet, cold: bool = False) -> Iterator[Fleet]:
    """A fleet with its places filled, for the length of the block."""
    try:
        for place in range(fleet.size):
            fleet.launch(place, cold)
        yield fleet
    finally:
        fleet.close()


class Line:
    """One client's way to a fleet: each request to the next server in turn."""

    def __init__(self, fleet: Fleet, turn: int = 0):
        self.fleet = fleet
        self._turn = turn

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        self._turn += 1
        return ask(self.fleet.port(self._turn), method, path, body)

    def insist(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Ask until there is an answer: only for what may be asked twice."""
        while True:
            try:
                return self.ask(method, path, body)
            except Cut:
                time.sleep(0.005)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _healthy(port: int) -> bool:
    try:
        return ask(port, "GET", "/health").ok
    except Cut:
        return False
