"""`mario ui`: the stock Dagster webserver on one sandbox.

In: a sandbox. Out: `dagster-webserver` on its Dagster home, until interrupted. It reads what episodes write and writes
what episodes read: whatever is materialized in it changes the next observation.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .console import err, out, working
from .processes import free_port, is_free, running
from .sandboxes import locate


def run_ui(reference: str, host: str, port: int) -> int:
    """Serve the UI until interrupted; its exit status, 0 after an interrupt."""
    with working("Looking for the sandbox"):
        sandbox, folder = locate(reference)
    if port and not is_free(host, port):
        err().print(f"port {port} is taken: another one is used", markup=False)
        port = 0
    port = port or free_port(host)
    url = f"http://{host}:{port}"
    saying = "Starting the Dagster UI (about 10 seconds)"
    with running(webserver(host, port), f"{url}/server_info", saying=saying, environment=environment(folder)) as server:
        out().print(f"Dagster UI of {sandbox.id} ({sandbox.task}, seed {sandbox.seed}): {url}/asset-groups")
        err().print("Ctrl-C ends it.")
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0


def webserver(host: str, port: int) -> list[str]:
    """The command line of `dagster-webserver` on this package's definitions."""
    return [
        sys.executable, "-m", "dagster_webserver",
        "--module-name", "mario_dagster.definitions",
        "--host", host,
        "--port", str(port),
    ]  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    """What points stock Dagster tools at a sandbox."""
    return {"DAGSTER_HOME": str(folder / "dagster"), "MARIO_SANDBOX": str(folder)}
