"""`mario serve`, and the server that a command starts for itself.

In: an address. Out: the environment over WebSocket and HTTP, in this process or in one of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .console import CommandError, err, working
from .processes import free_port, is_free, running

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def run_server(host: str, port: int, log_level: str, allow_repair: bool) -> None:
    """Serve until interrupted.

    Args:
        allow_repair: whether runs can be launched in the episodes' UIs; `MARIO_ALLOW_REPAIR` says so too.

    Raises:
        CommandError: the port is taken, or there is no such log level.
    """
    if log_level not in LOG_LEVELS:
        raise CommandError(f"no log level '{log_level}'; choose one of: {', '.join(LOG_LEVELS)}")
    port = port or free_port(host)
    if not is_free(host, port):
        raise CommandError(f"{host}:{port} cannot be listened on; is it taken? --port 0 finds a free one")
    if allow_repair:
        os.environ["MARIO_ALLOW_REPAIR"] = "1"
    with working("Loading Dagster and OpenEnv"):
        from mario_dagster.server import app
    err().print(
        f"Mario listens on http://{host}:{port} (docs at /docs, WebSocket at /ws, Dagster UIs at /ui)", markup=False
    )
    app.main(host, port, log_level=log_level)


@contextmanager
def local_server(meanwhile: Callable[[], None]) -> Iterator[str]:
    """A server of our own on a free loopback port, for the length of the block; its address.

    Args:
        meanwhile: done while it starts.
    """
    host, port = "127.0.0.1", free_port()
    url = f"http://{host}:{port}"
    # The package's own module and no script: it is this installation's server, whatever PATH says.
    serve = [sys.executable, "-m", "mario_dagster.cli", "serve"]
    command = [*serve, "--host", host, "--port", str(port), "--log-level", "warning"]
    saying = "Starting a server on a free port (about 10 seconds)"
    with running(command, f"{url}/health", saying=saying, meanwhile=meanwhile):
        yield url
