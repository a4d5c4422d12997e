"""The image's start command and healthcheck work as they are written, as a user that is not root would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DOCKERFILE = (REPO / "Dockerfile").read_text()


def instruction(name: str) -> list[str]:
    """The words of the last CMD of that kind, in exec form."""
    found = re.findall(rf"{name}\s+(\[.*\])", DOCKERFILE, re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    return words


def test_the_image_runs_as_an_unprivileged_user() -> None:
    (user,) = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert int(user.split(":")[0]) > 0


def test_the_start_command_serves_and_the_healthcheck_says_so(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [port if word == "8000" else word.replace("0.0.0.0", "127.0.0.1") for word in instruction("^CMD")]
    health = [word.replace("8000", port) for word in instruction(r"^\s+CMD")]
    places = {name: str(tmp_path / name) for name in ("HOME", "MARIO_HOME", "DAGSTER_HOME")}
    environment = {**os.environ, **places, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    server = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while subprocess.run(health, env=environment, capture_output=True, check=False).returncode != 0:
            assert server.poll() is None, shlex.join(command)
            assert time.monotonic() < deadline, "never healthy"
            time.sleep(0.5)
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_the_port_is_the_manifest_s() -> None:
    (port,) = re.findall(r"^port: (\d+)", (REPO / "openenv.yaml").read_text(), re.MULTILINE)
    assert f"EXPOSE {port}" in DOCKERFILE and instruction("^CMD")[-1] == port
