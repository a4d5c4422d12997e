"""Whether a server says that it is well exactly when episodes can be made and played; what it does at its start."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mario_dagster.core import places
from mario_dagster.server.app import build_app


def test_a_server_is_well_where_sandboxes_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIO_HOME", str(tmp_path / "home"))
    client = TestClient(build_app())
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert list(client.get("/openapi.json").json()["paths"]).count("/health") == 1


@pytest.mark.parametrize("variable", ["MARIO_HOME", "MARIO_TRUTH"])
def test_a_server_says_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("MARIO_HOME", str(tmp_path / "home"))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    answer = TestClient(build_app()).get("/health")
    wrong = answer.json()["trouble"]
    assert answer.status_code == 503 and ("home" if variable == "MARIO_HOME" else "truth") in wrong
    assert str(tmp_path) not in answer.text


def test_a_disk_that_is_nearly_full_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.trouble(tmp_path) == {}
    monkeypatch.setattr(places, "FREE_BYTES", 2**62)
    assert "MB are free" in places.trouble(tmp_path)["disk"]


def test_what_a_killed_server_left_is_swept_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIO_HOME", str(tmp_path))
    left = [tmp_path / ".half.0123abcd", tmp_path / ".templates" / ".key.89abcdef", tmp_path / ".truth" / "gone"]
    for folder in left:
        folder.mkdir(parents=True)
    with TestClient(build_app()):
        deadline = time.monotonic() + 60
        while any(folder.exists() for folder in left) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not [folder for folder in left if folder.exists()]


def test_the_truth_is_found_by_its_former_name_for_one_more_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MARIO_TRUTH", raising=False)
    places._warn.cache_clear()
    monkeypatch.setenv("MARIO_VAULT", str(tmp_path / "elsewhere"))
    with pytest.warns(FutureWarning, match="MARIO_VAULT is called MARIO_TRUTH now"):
        assert places.truth_folder(tmp_path) == tmp_path / "elsewhere"
    monkeypatch.delenv("MARIO_VAULT")
    assert places.truth_folder(tmp_path) == tmp_path / ".truth"
    (tmp_path / ".vault").mkdir()
    assert places.truth_folder(tmp_path) == tmp_path / ".vault"
