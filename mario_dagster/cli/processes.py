"""Server processes that a command starts, waits for and ends.

In: a command line and the address it will answer on. Out: a running process that answers, or a `CommandError` with the
end of its log. Processes are ended by the handle they were started with, never by name.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .console import CommandError, working

STARTUP_SECONDS = 120.0
ENDING_SECONDS = 10.0
POLL_SECONDS = 0.1
LOG_TAIL = 2_000


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


@contextmanager
def running(
    command: Sequence[str],
    url: str,
    *,
    saying: str,
    environment: Mapping[str, str] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a command, from when `url` answers until the block is left.

    Args:
        saying: what is shown while it starts.
        environment: added to this process's own.
        meanwhile: done while the process starts, so that slow imports here overlap with those there.

    Raises:
        CommandError: it ended or stayed silent; with the last lines it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="mario-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                # A Ctrl-C at the terminal goes to this process, which then ends its child in order.
                start_new_session=True,
            )
        try:
            with _ended_by_terminate():
                with working(saying):
                    if meanwhile:
                        meanwhile()
                    _wait(process, url, log)
                yield process
        finally:
            end(process)


@contextmanager
def _ended_by_terminate() -> Iterator[None]:
    """SIGTERM unwinds the block, as Ctrl-C does: without it the child would outlive us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process, and those that it started, to end, then make them."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the whole session that the process leads; nobody of it may be left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise CommandError(f"the server ended with status {process.returncode} before it answered:\n{_tail(log)}")
        if _answers(url):
            return
        time.sleep(POLL_SECONDS)
    raise CommandError(f"no answer from {url} in {STARTUP_SECONDS:.0f} seconds:\n{_tail(log)}")


def _answers(url: str) -> bool:
    # No proxy of the environment's stands between this process and its own child.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:].strip() or "(it wrote nothing)"
