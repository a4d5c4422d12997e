"""The documentation is true: its code runs, its commands exist, its site is built without a warning or another host."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .serving import REPO, Server

DOCS, EXAMPLES = REPO / "docs", REPO / "examples"
ADDRESS = "http://127.0.0.1:8000"
PAGES = sorted(page.relative_to(REPO).as_posix() for page in (*DOCS.rglob("*.md"), *REPO.glob("*.md")))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    serving = Server(tmp_path_factory.mktemp("served"))
    yield serving
    serving.kill()


def blocks(page: Path, language: str) -> list[str]:
    """A page's blocks of code in a language; not those that show a file of the repository."""
    return [
        code for code in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL) if "--8<--" not in code
    ]


def run(code: str, server: Server) -> dict[str, Any]:
    """The names that code leaves behind, which plays on the server of the tests."""
    names: dict[str, Any] = {}
    exec(compile(code.replace(ADDRESS, server.url), "<docs>", "exec"), names)
    return names


# --- code ------------------------------------------------------------------------------------------------------------


def test_the_tutorial_publishes_what_it_repairs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    run("\n".join(blocks(DOCS / "tutorial" / "first-episode.md", "python")), server)
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert (last[0], last[2]) == ("commit_success", "True") and float(last[1]) > 0.95


def test_the_notebook_runs_where_a_loop_runs_already_and_keeps_no_output(server: Server) -> None:
    cells = [
        cell
        for cell in json.loads((EXAMPLES / "first_episode.ipynb").read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)

    async def kernel() -> dict[str, Any]:
        return run("\n".join("".join(cell["source"]) for cell in cells), server)

    assert asyncio.run(kernel())["seen"].done_reason == "commit_success"


@pytest.mark.parametrize("page", ["serve.md", "retry.md"])
def test_a_how_to_runs_as_it_stands(page: str, server: Server) -> None:
    run("\n".join(blocks(DOCS / "how-to" / page, "python")), server)


def test_the_first_plugin_is_found_and_proven(tmp_path: Path) -> None:
    page = DOCS / "tutorial" / "first-plugin.md"
    (project,), (module,) = blocks(page, "toml"), blocks(page, "python")
    (tmp_path / "night_shift.py").write_text(module)
    # What installing it would leave: a name and its entry points.
    info, points = tmp_path / "night_shift-0.1.0.dist-info", tomllib.loads(project)["project"]["entry-points"]
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: night-shift\nVersion: 0.1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in of.items()) for group, of in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (command,) = re.findall(r"^mario (check .*)$", page.read_text(), re.MULTILINE)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", "mario_dagster.cli", *command.split(), "--json"],
        env=environment,
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "night_shift_incident" in done.stdout


# --- commands, variables, the site ------------------------------------------------------------------------------------


def _commands() -> Iterator[tuple[str, list[str]]]:
    for name in PAGES:
        for code in blocks(REPO / name, "(?:bash|sh)"):
            for line in code.replace("\\\n", " ").splitlines():
                words = line.split("#")[0].replace(".venv/bin/", "").split()
                while words and "=" in words[0]:
                    words.pop(0)
                if words and words[0] == "mario":
                    yield name, words[1:]


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    import typer

    from mario_dagster.cli.app import app

    shown = list(_commands())
    assert len(shown) > 20
    for page, words in shown:
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not hasattr(command, "commands"), f"{page}: no command {words[:1]}"
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert not {word for word in words if word.startswith("-")} - known, f"{page}: {command.name} {words}"


def test_every_variable_that_is_read_is_in_the_table() -> None:
    read = {
        name
        for file in (REPO / "mario_dagster").rglob("*.py")
        for name in re.findall(r'"(MARIO_[A-Z_]+|ENABLE_[A-Z_]+)"', file.read_text())
    }
    table = set(re.findall(r"^\| `([A-Z_]+)`", (DOCS / "reference" / "environment.md").read_text(), re.MULTILINE))
    assert read and not read - table


@pytest.mark.parametrize("page", [name for name in PAGES if "/" not in name and name != "README.md"])
def test_what_a_page_outside_the_site_links_to_is_there(page: str) -> None:
    for target in re.findall(r"\]\((?!http|#|mailto)([^)#]+)", (REPO / page).read_text()):
        assert (REPO / target).exists(), target


def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)|<link[^>]+href=\"([^\"]+)", page.read_text())
        assert not [url for pair in loaded for url in pair if re.match(r"(https?:)?//", url)], page
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text()), sheet
