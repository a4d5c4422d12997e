"""Takes the documentation's pictures of the Dagster UI: an incident that is played by the solution, before and after.

In: nothing; `python -m scripts.screenshots`. Out: `docs/images/*.png`. Needs the `dev` extra and Debian's chromium.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
import warnings
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
UI = "assets/temporal"
LINEAGE = "asset-groups/__repository__@mario_dagster.definitions/temporal"


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home:
        os.environ["MARIO_HOME"] = home
        _take()


def _take() -> None:
    import uvicorn

    from mario_dagster.cli.processes import free_port
    from mario_dagster.core.action import Action
    from mario_dagster.env.episode import Episode
    from mario_dagster.env.options import reset_options
    from mario_dagster.server.app import build_app
    from tests.browser import browsing

    os.environ["MARIO_ALLOW_REPAIR"] = "1"
    episode = Episode.start(reset_options({"task": "temporal", "seed": 1, "episode_id": "tonight"}), via="http")
    episode.newest()
    port = free_port("127.0.0.1")
    server = uvicorn.Server(uvicorn.Config(build_app(), port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    base = f"http://127.0.0.1:{port}/ui/tonight"

    with browsing() as page:
        page.set_viewport_size({"width": 1400, "height": 1000})

        def shoot(name: str, path: str, wait_for: str) -> None:
            page.goto(f"{base}/{path}")
            page.get_by_text(wait_for).first.wait_for()
            _settle()
            page.screenshot(path=IMAGES / f"{name}.png")

        shoot("lineage-before", LINEAGE, "hourly_rollup")
        shoot("failing-rows", f"{UI}/source_orders?view=checks&checkDetail=order_ids_are_unique", "could be mended by")
        shoot("incident-page", f"{UI}/incident", "What fails")
        page.get_by_text("Show more").click()
        _settle()
        page.screenshot(path=IMAGES / "incident-page.png")
        page.get_by_role("link", name="remove_duplicates").first.click()
        page.get_by_text("No errors").wait_for()
        _settle()
        page.screenshot(path=IMAGES / "launchpad.png")
        for fields in episode.sandbox.truth_store.solution:
            episode.step(Action.from_dict(fields))
        shoot("lineage-after", LINEAGE, "hourly_rollup")
        shoot("timeline", "overview/activity/timeline", "temporal_commit")
    server.should_exit = True
    episode.close()


def _settle() -> None:
    """Until animations and late queries are over."""
    time.sleep(4)


if __name__ == "__main__":
    main()
