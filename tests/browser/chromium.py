"""Chromium: Debian's, driven by Playwright, whose own download is never used."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, async_playwright

COMMAND = "chromium"
FLAGS = (
    "--no-sandbox",  # tests run as root, in containers too
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # Temporal Web asks for news from elsewhere
)
PATIENCE = 40.0
"""Seconds; a page of Temporal Web has some 240 scripts, which takes a second on two idle cores."""


@asynccontextmanager
async def browsing(
    *, width: int = 1280, height: int = 900, dark: bool = False
) -> AsyncIterator[BrowserContext]:
    """Run a browser, and give a context for pages, in a time zone and language that say the same everywhere."""
    found = shutil.which(COMMAND)
    assert found is not None, f"there is no {COMMAND} on PATH: `sh tools/chromium.sh` sees to it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(1000 * PATIENCE)
        yield context
        await browser.close()
