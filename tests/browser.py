"""Debian's Chromium, driven as a person would: pages are waited for until they show what is looked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: scripts/install-chromium.sh installs it")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)
PATIENCE_MS = 60_000


@contextmanager
def browsing() -> Iterator[Page]:
    """A browser with one empty page."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1500, "height": 1400})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def shows(page: Page, *texts: str) -> None:
    """Waits until a page shows each of these texts somewhere."""
    for text in texts:
        expect(page.locator("body")).to_contain_text(text, timeout=PATIENCE_MS)
