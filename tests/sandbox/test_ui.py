"""The Dagster UI on an episode, in a real browser: red checks, failed runs, missing batches, the agent's runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mario_dagster.core.action import Action
from mario_dagster.env.episode import Episode
from mario_dagster.env.options import reset_options
from mario_dagster.sandbox.home import Home

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: scripts/install-chromium.sh installs it")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Stock dagster-webserver on an episode that is under way."""
    home = Home(tmp_path_factory.mktemp("home"))
    episode = Episode.start(reset_options({"task": "temporal", "seed": 4, "episode_id": "seen"}), home=home)
    for move in [Action(18), *[Action.from_dict(each) for each in episode.sandbox.truth_store.solution[:2]]]:
        episode.step(move)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = episode.sandbox.root
    words = ["-m", "mario_dagster.definitions", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("dagster-webserver")), *words],
        env={**os.environ, "DAGSTER_HOME": str(root / "dagster"), "MARIO_SANDBOX": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{url}/server_info", timeout=2).raise_for_status()
            break
        except httpx.HTTPError:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.3)
    yield url
    server.terminate()
    server.wait(timeout=60)
    episode.close()


def page(url: str, profile: Path) -> str:
    """The page's text as a browser shows it once it has settled."""
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
        "--virtual-time-budget=25000", "--window-size=1500,1400", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([str(CHROMIUM), *options, url], capture_output=True, text=True, timeout=180, check=False)
    return done.stdout


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (
            "/runs?q%5B0%5D=status%3AFAILURE",
            ["temporal_hourly", "temporal_replay", "mario/actor: scheduler", "Failure"],
        ),
        ("/runs", ["mario/action: replay_priority_batch", "mario/episode: seen", "temporal_repair_source_orders"]),
        ("/assets/temporal/source_orders?view=checks", ["source_orders_is_fit_to_publish", "Failed"]),
        ("/assets/temporal/landed_orders?view=partitions", ["t12", "Missing (", "Materialized ("]),
    ],
)
def test_a_page_shows_the_incident(ui: str, tmp_path: Path, path: str, shown: list[str]) -> None:
    text = page(f"{ui}{path}", tmp_path)
    for words in shown:
        assert words in text, words
