"""Cuts the pages that planning finds into ranges of equal size, one for each child."""

from __future__ import annotations

from dataclasses import dataclass

from fanout.pages import Page, cut


@dataclass(frozen=True)
class Span:
    """The items of one child: a contiguous range, and the parts of pages that hold it."""

    start: int
    count: int
    pages: list[Page]

    @property
    def end(self) -> int:
        """Index after the last item."""
        return self.start + self.count


class Tiler:
    """Collects consecutive pages and gives out spans.

    Args:
        pages: Pages that are there already.
        complete: Whether there will be no more.
    """

    def __init__(self, pages: list[Page] | None = None, *, complete: bool = False) -> None:
        self._pages = [page for page in pages or [] if page.count]
        self.complete = complete

    def add(self, page: Page) -> None:
        """Add the page that follows the last one."""
        if page.count:
            self._pages.append(page)

    @property
    def available(self) -> int:
        """Items that no span has taken."""
        return sum(page.count for page in self._pages)

    def take(self, size: int) -> Span | None:
        """Take the next span.

        Returns:
            A span of `size` items, or of all that remain once the pages are complete; None where there are too few.
        """
        if not self._pages or (self.available < size and not self.complete):
            return None
        start = self._pages[0].start
        end = min(start + size, self._pages[-1].end)
        taken = cut(self._pages, start, end)
        self._pages = cut(self._pages, end, self._pages[-1].end)
        return Span(start, end - start, taken)
