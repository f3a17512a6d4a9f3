"""Takes the screenshots of docs/images anew: `make screenshots`."""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

from fanout import wire
from tests.browser.chromium import browsing
from tests.browser.scene import scene
from tests.browser.temporal_web import TemporalWeb

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS = 96
"""Enough for pages of text; a third of the bytes."""


async def take(page: Page, name: str) -> None:
    """Write what a page shows to a small file."""
    # Frames get their height once what they show is there.
    await page.wait_for_timeout(1_500)
    shot = Image.open(io.BytesIO(await page.screenshot()))
    path = IMAGES / f"web-{name}.png"
    shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(IMAGES.parents[1])}: {path.stat().st_size // 1024} KiB")


async def main() -> None:
    """Take all of them."""
    with tempfile.TemporaryDirectory(prefix="images-") as place:
        async with scene(Path(place)) as shown, browsing(height=1_000) as browser:
            web = TemporalWeb(shown.ui_url, browser)
            page = await web.list(f'WorkflowType = "{wire.RUN_WORKFLOW}" AND FanoutProcessor = "thumbnail"')
            await page.get_by_role("link", name=shown.large.id, exact=True).wait_for()
            await page.set_viewport_size({"width": 1280, "height": 620})
            await take(page, "runs")

            root = await web.workflow(shown.large.id)
            await root.see("partition 0: items 0–999")
            await take(root.page, "run-timeline")
            await root.tab("User Metadata")
            await root.read("2,000 of 8,000 items done")
            await root.page.set_viewport_size({"width": 1280, "height": 1_420})
            await take(root.page, "run")

            partition = await web.workflow(wire.partition_id(shown.large.id, 2))
            await partition.see("items 2,000–2,249")
            await take(partition.page, "partition-timeline")
            await partition.tab("User Metadata")
            await partition.read("500 of 1,000 items done")
            await take(partition.page, "partition")


if __name__ == "__main__":
    asyncio.run(main())
