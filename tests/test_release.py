"""`make release` refuses what is no release, and leaves the files that name the version as they were when it fails."""

from __future__ import annotations

import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import mario_dagster

from .serving import REPO

FILES = ("mario_dagster/__init__.py", "openenv.yaml", "CITATION.cff", "CHANGELOG.md")


@pytest.fixture
def release() -> ModuleType:
    spec = spec_from_file_location("release", REPO / "scripts" / "release.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copied(release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that name the version, in a folder of their own that the script takes for the repository."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, tmp_path / name)
    monkeypatch.setattr(release, "REPO", tmp_path)
    return tmp_path


def test_the_version_is_the_same_everywhere(release: ModuleType) -> None:
    assert release.present() == mario_dagster.__version__


@pytest.mark.parametrize("version", ["1", "v1.2.3", "0.0.1"])
def test_what_is_no_next_version_is_refused(release: ModuleType, version: str) -> None:
    with pytest.raises(release.Refused, match=r"three numbers|is older than"):
        release.require_releasable(version)


def test_a_version_is_set_everywhere_and_heads_the_changes(release: ModuleType, copied: Path) -> None:
    with release.versioned("7.8.9"):
        assert release.present() == "7.8.9"
    assert release.present() == "7.8.9"
    log = (copied / "CHANGELOG.md").read_text()
    assert log.index("## [Unreleased]") < log.index("## [7.8.9] - ") < log.index("\n- ")


def test_a_release_that_fails_changes_nothing(release: ModuleType, copied: Path) -> None:
    before = {name: (copied / name).read_text() for name in FILES}
    with pytest.raises(release.Refused), release.versioned("7.8.9"):
        raise release.Refused("the wheel does not play")
    assert {name: (copied / name).read_text() for name in FILES} == before
