"""`mario dev`: Dagster's own webserver and daemon on all pipelines, healthy until somebody injects an incident.

In: a port. Out: `dagster dev` in a home that stays, without an episode: `inject incident` from a launchpad, repair by
hand, publish.
"""

from __future__ import annotations

import os
import sys

from mario_dagster.core.places import home_folder

from .console import err, out
from .processes import free_port, is_free, running

NAME = ".dev"
# INFO is what runs say by themselves; every event of theirs is DEBUG, and is in the UI.
SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
python_logs:
  python_log_level: INFO
"""
# Dagster recommends another tool, which has projects of its own make.
QUIET = "ignore:Function `dev_command` is superseded"


def run_dev(host: str, port: int) -> int:
    """Serve until interrupted; the exit status, 0 after an interrupt.

    Raises:
        CommandError: it ended, or did not answer.
    """
    home = home_folder() / NAME
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(SETTINGS)
    if port and not is_free(host, port):
        err().print(f"port {port} is taken: another one is used", markup=False)
        port = 0
    port = port or free_port(host)
    url = f"http://{host}:{port}"
    words = ["-m", "dagster", "dev", "-m", "mario_dagster.definitions", "-h", host, "-p", str(port)]
    command = [sys.executable, "-W", QUIET, *words, "--log-level", "warning"]
    # Of one episode only where it is said so; here there is none.
    environment = {"DAGSTER_HOME": str(home), "MARIO_SANDBOX": ""}
    with running(command, f"{url}/server_info", saying="Starting Dagster", environment=environment) as process:
        out().print(f"Dagster UI: {url}/asset-groups", markup=False)
        err().print(
            "In a minute every graph is green and published. Launch <task>_inject_incident, repair, then publish with "
            "<task>_commit.",
            markup=False,
            soft_wrap=True,
        )
        err().print(
            f"Runs and tables stay in {os.path.relpath(home)}; delete it to begin anew. Ctrl-C ends it.", soft_wrap=True
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
