"""What a page says that Temporal Web shows: looked for in Temporal Web, in a real browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

from playwright.async_api import BrowserContext

from tests.browser.chromium import PATIENCE, browsing
from tests.browser.temporal_web import TemporalWeb, WorkflowPage
from tests.runbooks.stage import Mark, pattern
from tests.waiting import eventually

_QUOTED = re.compile(r"`([^`]+)`|\*{1,2}([^*]+)\*{1,2}")


def quoted(paragraph: str) -> list[str]:
    """Return the words of a paragraph that are in code, italics or bold."""
    line = " ".join(paragraph.split())
    return [found[1] or found[2] for found in _QUOTED.finditer(line)]


@dataclass
class Browser:
    """A browser for tests that are no coroutines: each look at a page is one call.

    Attributes:
        context: Of the browser, which lives on the runner's event loop.
        runner: What runs the looks.
    """

    context: BrowserContext
    runner: asyncio.Runner

    def look(self, url: str, run_id: str, mark: Mark, where: str) -> None:
        """Check that Temporal Web shows what a paragraph quotes.

        Args:
            url: Of Temporal Web.
            run_id: Whose page is looked at.
            mark: Its name is that of the page's tab, or `urls` for the page itself.
            where: The place of the paragraph.
        """
        self.runner.run(self._look(url, run_id, mark, where))

    async def _look(self, url: str, run_id: str, mark: Mark, where: str) -> None:
        page = await TemporalWeb(url, self.context).visit(run_id)
        try:
            if mark.name != "urls":
                await page.heading(run_id)
                await page.tab(mark.name)
            await _see(page, quoted(mark.body), where)
        finally:
            await page.page.close()


async def _see(page: WorkflowPage, words: list[str], where: str) -> None:
    """Wait until a page shows all of the words at once."""
    missing, text = words, ""

    async def shown() -> bool:
        nonlocal missing, text
        text = await page.text()
        missing = [word for word in words if not pattern(word).search(text)]
        return not missing

    try:
        await eventually(shown, within=PATIENCE)
    except AssertionError:
        raise AssertionError(f"{where}: Temporal Web does not show {missing}, but: {text}") from None


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a browser for as long as the block lasts."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        context = runner.run(stack.enter_async_context(browsing()))
        try:
            yield Browser(context, runner)
        finally:
            runner.run(stack.aclose())
