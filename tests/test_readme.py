"""The README's client example runs as it stands, against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .serving import REPO, Server

README = (REPO / "README.md").read_text()


def test_the_client_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    server = Server(tmp_path)
    try:
        code = example.replace("http://127.0.0.1:8000", server.url)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    finally:
        server.kill()
    assert done.returncode == 0, done.stderr
    assert "failing:" in done.stdout and "0 batches pending" in done.stdout


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_what_it_links_to_is_there(target: str) -> None:
    assert (REPO / target).exists()


def test_its_set_up_is_what_the_makefile_offers() -> None:
    makefile = (REPO / "Makefile").read_text()
    for name in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
