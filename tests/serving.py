"""A real server in a process of its own, for the tests that kill it, compare it, or wear it out."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

REPO = Path(__file__).resolve().parent.parent


# Root may read and write everything: a server that is to be refused by a file's permissions goes without that right.
CONFINED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def confinement() -> tuple[str, ...] | None:
    """What to put before a command so that permissions of files bind it; None where this machine has no such thing."""
    if os.geteuid() != 0:
        return ()
    tried = shutil.which(CONFINED[0]) and subprocess.run([*CONFINED, "true"], capture_output=True).returncode == 0
    return CONFINED if tried else None


class Server:
    """A real server in a process of its own.

    Args:
        environment: added to this process's own.
        before: what the command is run by.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [
                *before,
                sys.executable,
                "-m",
                "mario_dagster.cli",
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
            ],
            env={**os.environ, **(environment or {}), "MARIO_HOME": str(home)},
            cwd=REPO,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def post(self, path: str, body: Mapping[str, Any], timeout: float = 60) -> dict[str, Any]:
        reply = httpx.post(f"{self.url}{path}", json=body, timeout=timeout)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def steps(self, episode: str) -> int:
        return int(httpx.get(f"{self.url}/state", params={"episode_id": episode}, timeout=30).json()["step_count"])

    def step(self, episode: str, action: Mapping[str, Any], timeout: float = 60) -> dict[str, Any]:
        return self.post("/step", {"episode_id": episode, "action": action}, timeout)
