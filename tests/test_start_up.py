"""What starting costs: OpenEnv comes in by one file, which leaves Gradio out until somebody wants its pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .serving import REPO

PACKAGE = REPO / "mario_dagster"
SERVER, CLIENT = "mario_dagster.server.app", "mario_dagster.env.client"


def _run(*arguments: str, **environment: str) -> str:
    """What a Python of its own says on standard error."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _imported(module: str) -> set[str]:
    """Names of all that importing the module imports, by Python's own account."""
    said = _run("-X", "importtime", "-c", f"import {module}", ENABLE_WEB_INTERFACE="false")
    return set(re.findall(r"^import time:.*\| +(\S+)$", said, re.MULTILINE))


@pytest.mark.parametrize("module", [SERVER, CLIENT])
def test_without_the_web_interface_nothing_loads_gradio(module: str) -> None:
    names = _imported(module)
    assert module in names
    assert not {"gradio", "pandas", "dagster"} & {name.partition(".")[0] for name in names}


def test_with_the_web_interface_its_page_is_there() -> None:
    code = (
        f"from {SERVER} import app; from starlette.testclient import TestClient; "
        "answer = TestClient(app).get('/web/'); assert 'gradio' in answer.text, answer.text"
    )
    environment = {**os.environ, "ENABLE_WEB_INTERFACE": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_openenv_is_imported_in_one_file() -> None:
    files: list[Path] = sorted(PACKAGE.rglob("*.py"))
    found = [
        str(file.relative_to(PACKAGE))
        for file in files
        if re.search(r"^\s*(import|from) openenv\b", file.read_text(), re.MULTILINE)
    ]
    assert found == ["env/openenv.py"]


def test_neither_the_code_location_nor_the_schema_of_the_routes_comes_with_a_warning() -> None:
    code = f"from mario_dagster.definitions import definitions; definitions(); from {SERVER} import app; app.openapi()"
    assert _run("-c", code) == ""
