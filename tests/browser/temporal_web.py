"""Temporal Web as a person uses it: lists, a workflow's page, its tabs, and the markdown in frames of its own."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from playwright.async_api import BrowserContext, Frame, Page
from playwright.async_api import Error as PlaywrightError

from tests.browser.chromium import PATIENCE
from tests.waiting import eventually


@dataclass
class WorkflowPage:
    """The page of one workflow.

    Attributes:
        page: The browser's.
    """

    page: Page

    async def heading(self, workflow_id: str) -> None:
        """Wait until the page is that of a workflow."""
        await self.page.locator("h1").get_by_text(workflow_id, exact=True).wait_for()

    async def tab(self, name: str) -> None:
        """Open one of its tabs."""
        await self.page.get_by_role("tab", name=name).click()

    async def see(self, text: str) -> None:
        """Wait until the page itself shows a text."""
        await self.page.get_by_text(text).first.wait_for()

    async def text(self) -> str:
        """Return all that the page shows now, with its markdown, on one line."""
        shown = [await self.page.locator("body").inner_text()]
        shown += [await _text(frame) for frame in self._rendered()]
        return " ".join(" ".join(shown).split())

    async def read(self, *texts: str) -> str:
        """Wait until one piece of markdown shows all of the texts; return it whole."""
        found: list[str] = []

        async def shown() -> bool:
            for frame in self._rendered():
                text = await _text(frame)
                if all(one in text for one in texts):
                    found.append(text)
                    return True
            return False

        await eventually(shown, within=PATIENCE)
        return found[-1]

    async def follow(self, name: str) -> WorkflowPage:
        """Click on a link in the markdown; it opens a page of its own."""
        opened: list[Page] = []

        async def clicked() -> bool:
            for frame in self._rendered():
                # The frame is made anew when the details change.
                try:
                    links = frame.get_by_role("link", name=name, exact=True)
                    if await links.count():
                        async with self.page.expect_popup(timeout=10_000) as popup:
                            await links.first.click(timeout=3_000)
                        opened.append(await popup.value)
                        return True
                except PlaywrightError:
                    continue
            return False

        await eventually(clicked, within=PATIENCE)
        return WorkflowPage(opened[-1])

    def _rendered(self) -> list[Frame]:
        return [frame for frame in self.page.frames if "/render?" in frame.url]


async def _text(frame: Frame) -> str:
    try:
        text = await frame.locator("main").inner_text(timeout=3_000)
    except PlaywrightError:
        return ""
    return "\n".join(line for line in text.splitlines() if line.strip())


@dataclass
class TemporalWeb:
    """Temporal Web of one server.

    Attributes:
        url: Where it is.
        browser: What opens its pages.
    """

    url: str
    browser: BrowserContext

    async def list(self, query: str) -> Page:
        """Open the list of workflows that a query finds."""
        page = await self.browser.new_page()
        await page.goto(f"{self.url}/namespaces/default/workflows?query={quote(query, safe='')}")
        await page.get_by_role("table", name="Workflows").wait_for()
        return page

    async def workflow(self, workflow_id: str) -> WorkflowPage:
        """Open the page of a workflow."""
        made = await self.visit(workflow_id)
        await made.heading(workflow_id)
        return made

    async def visit(self, workflow_id: str) -> WorkflowPage:
        """Open the address of a workflow, whether it is there or not."""
        return await self._go(f"{self.url}/namespaces/default/workflows/{quote(workflow_id, safe='')}")

    async def open(self, url: str, workflow_id: str) -> WorkflowPage:
        """Open an address that is to lead to a workflow's page."""
        made = await self._go(url)
        await made.heading(workflow_id)
        return made

    async def _go(self, url: str) -> WorkflowPage:
        made = WorkflowPage(await self.browser.new_page())
        await made.page.goto(url)
        return made
