"""A process that bears servers: it has loaded everything, so that a fork of it listens after a tenth of a second.

In: a request a line, as JSON, on standard input: a port, a home, a file for what is logged, and whether the server is
to be a cold `mario serve` of its own. Out: the new process's id, a line each, on standard output. A server is the same
app whichever way it was born, in a process group of its own; when standard input ends, all of them are killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

HOST = "127.0.0.1"


def main() -> None:
    """Bear servers until there is nobody left to bear them for."""
    from mario_dagster.sandbox import sandbox  # noqa: F401 - what the first request would load
    from mario_dagster.server import app as server

    server._warm()
    # Nobody waits for the children here: the kernel buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # A Ctrl-C at the terminal is for who asked; the end of standard input is for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    born: list[int] = []
    try:
        for line in sys.stdin:
            wanted = json.loads(line)
            born.append(_cold(wanted) if wanted["cold"] else _forked(wanted))
            sys.stdout.write(f"{born[-1]}\n")
            sys.stdout.flush()
    finally:
        for process in born:
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)


def _cold(wanted: dict[str, Any]) -> int:
    command = [sys.executable, "-m", "mario_dagster.cli", "serve", "--host", HOST, "--port", str(wanted["port"])]
    with open(wanted["log"], "ab") as log:
        process = subprocess.Popen(
            [*command, "--log-level", "warning"],
            env={**os.environ, "MARIO_HOME": wanted["home"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return process.pid


def _forked(wanted: dict[str, Any]) -> int:
    ready, done = os.pipe()
    process = os.fork()
    if process:
        os.close(done)
        os.read(ready, 1)  # until the child leads a group, which is what will be killed
        os.close(ready)
        return process
    try:
        os.setsid()
        os.close(ready)
        os.close(done)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor, place in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(descriptor, place)
        os.environ["MARIO_HOME"] = wanted["home"]
        from mario_dagster.server import app as server

        server.main(HOST, wanted["port"], log_level="warning")
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
