"""`make release VERSION=x.y.z`: version and changelog are set, wheel and sdist built, and the wheel is played once.

In: a version, and a tree without changes. Out: `dist/`, and the few files that name the version, to be committed and
tagged by whoever released. When anything fails, those files are as they were. With `--dry-run` (`make release CHECK=1`)
what is there is built and played, and no file is touched.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
LOCK = REPO / "requirements.lock"
# File -> the line in it that names the version; all of them say the same.
NAMED = {
    "mario_dagster/__init__.py": r'^__version__ = "([^"]+)"$',
    "openenv.yaml": r"^version: (\S+)$",
    "CITATION.cff": r"^version: (\S+)$",
}
UNRELEASED = "## [Unreleased]\n"


class Refused(Exception):
    """There can be no release; the message says why."""


def present() -> str:
    """The version that the tree has. Raises `Refused` where its files do not agree."""
    versions = {name: re.findall(pattern, _text(name), re.MULTILINE) for name, pattern in NAMED.items()}
    if len({tuple(found) for found in versions.values()}) != 1:
        raise Refused(f"the version is not the same everywhere: {versions}")
    return str(next(iter(versions.values()))[0])


def require_releasable(version: str) -> None:
    """Raises `Refused` unless the tree is clean, and the version a new one with something in it."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refused(f"VERSION is three numbers such as 0.2.0, not '{version}'")
    if _numbers(version) < _numbers(present()):
        raise Refused(f"{version} is older than {present()}")
    if changed := _said("git", "status", "--porcelain"):
        raise Refused(f"commit or stash what was changed first:\n{changed}")
    if _said("git", "tag", "--list", f"v{version}"):
        raise Refused(f"v{version} is out already")
    if not re.search(rf"^{re.escape(UNRELEASED)}(?:(?!^## ).)*^- ", _text("CHANGELOG.md"), re.MULTILINE | re.DOTALL):
        raise Refused("CHANGELOG.md has nothing under [Unreleased]")


@contextmanager
def versioned(version: str) -> Iterator[None]:
    """The files that name the version name this one; as they were again where the block fails."""
    today = datetime.now(UTC).date().isoformat()
    before = {name: _text(name) for name in (*NAMED, "CHANGELOG.md")}
    try:
        for name, pattern in NAMED.items():
            _set(name, pattern, version)
        log = before["CHANGELOG.md"].replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {today}\n", 1)
        (REPO / "CHANGELOG.md").write_text(log, encoding="utf-8")
        yield
    except BaseException:
        for name, text in before.items():
            (REPO / name).write_text(text, encoding="utf-8")
        raise


def build(folder: Path) -> Path:
    """Wheel and sdist in a folder; the wheel, which was built from the sdist."""
    _run(_uv(), "build", "--quiet", "--out-dir", str(folder), str(REPO))
    (wheel,) = folder.glob("*.whl")
    return wheel


def play(wheel: Path, version: str, scratch: Path) -> None:
    """Install the wheel where nothing else is, and play one episode with it. Raises `Refused` where that fails."""
    venv = scratch / "venv"
    _run(_uv(), "venv", "--quiet", "--python", sys.executable, str(venv))
    python = str(venv / "bin" / "python")
    _run(_uv(), "pip", "install", "--quiet", "--python", python, "--constraint", str(LOCK), str(wheel))
    # Nothing of the checkout, nor of whoever calls this, is to be found by what is tried.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"MARIO_HOME": str(scratch / "home"), "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    said = _said("mario", "--version", cwd=scratch, env=environment)
    if said.split()[-1] != version:
        raise Refused(f"the wheel says it is {said}, not {version}")
    report = json.loads(_said("mario", "demo", "--json", cwd=scratch, env=environment))
    if not (report["success"] and report["published"]):
        raise Refused(f"the wheel's demo did not publish: {report['done_reason']}, score {report['score']}")
    print(
        f"played {report['profile']}: {report['steps']} steps, score {report['score']}, published {report['published']}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("version", nargs="?", help="such as 0.2.0; not needed for a dry run")
    parser.add_argument("--dry-run", action="store_true", help="build and play what is there; touch no file")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="mario-release-") as folder:
            if asked.dry_run:
                _made(Path(folder), present())
                print("dry run: no file was touched")
                return 0
            if asked.version is None:
                raise Refused("say which: make release VERSION=x.y.z")
            require_releasable(asked.version)
            with versioned(asked.version):
                built = _made(Path(folder), asked.version)
                for file in built:
                    (REPO / "dist").mkdir(exist_ok=True)
                    shutil.copy(file, REPO / "dist")
    except Refused as refusal:
        print(f"release: {refusal}", file=sys.stderr)
        return 1
    print(f"dist/ has {', '.join(file.name for file in built)}; now\n")
    print(f"    git commit -am 'Release {asked.version}' && git tag v{asked.version}")
    return 0


def _made(folder: Path, version: str) -> list[Path]:
    wheel = build(folder / "dist")
    built = sorted(file for file in wheel.parent.iterdir() if file.name.startswith("mario_dagster-"))
    print(f"built {', '.join(file.name for file in built)}")
    play(wheel, version, folder)
    return built


def _uv() -> str:
    """The uv of this environment, else any."""
    own = Path(sys.executable).parent / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if not found:
        raise Refused("uv is missing; `make setup` installs it")
    return found


def _run(*command: str) -> None:
    if subprocess.run(command, cwd=REPO, check=False).returncode:
        raise Refused(f"this failed: {' '.join(command)}")


def _said(*command: str, cwd: Path = REPO, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Refused(f"this failed: {' '.join(command)}\n{done.stdout}")
    return done.stdout.strip()


def _text(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def _set(name: str, pattern: str, value: str) -> None:
    """Put a value where the pattern's group is; the file has one such line."""
    text = _text(name)
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise Refused(f"{name} has no line like {pattern}")
    (REPO / name).write_text(text[: found.start(1)] + value + text[found.end(1) :], encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    raise SystemExit(main())
