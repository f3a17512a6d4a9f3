"""Where items are: sources, pages of them, and what batches have handed back.

Plain frozen dataclasses of JSON values, so that any Temporal data converter carries them, and so that
a field added later with a default still reads what an older version wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

Json = Any
"""A value that JSON can express."""


@dataclass(frozen=True)
class Source:
    """A registered reader by its kind, with what it needs to find the items.

    Attributes:
        kind: The reader's registered name, such as `"jsonl"`. Never an import path.
        args: The reader's own arguments, as JSON. Never a credential.
        key: The field of an item that names it to people; None for its index.
        skip: How many items from the beginning not to run.
        limit: How many items to run at most; None for all.
        inline: Whether the items are at hand (arithmetic, or in `args`), so that planning reads nothing.
    """

    kind: str
    args: dict[str, Json] = field(default_factory=dict)
    key: str | None = None
    skip: int = 0
    limit: int | None = None
    inline: bool = False


@dataclass(frozen=True)
class Page:
    """A contiguous range of items that planning has found, and where its reader finds them.

    Attributes:
        start: Index of the first item.
        count: How many items; exact.
        size: Bytes of the items in the source, 0 where unknown.
        locator: What the reader needs to open any part of the page; small, JSON.
        values: The items themselves, where they travel inline.
    """

    start: int
    count: int
    size: int = 0
    locator: dict[str, Json] = field(default_factory=dict)
    values: list[Json] | None = None

    @property
    def end(self) -> int:
        """Index after the last item."""
        return self.start + self.count

    def cut(self, start: int, end: int) -> Page:
        """Return the part of the page from `start` to below `end`, both inside it."""
        share = (end - start) / self.count if self.count else 0
        return Page(
            start=start,
            count=end - start,
            size=round(self.size * share),
            locator=self.locator,
            values=None if self.values is None else self.values[start - self.start : end - self.start],
        )


def cut(pages: list[Page], start: int, end: int) -> list[Page]:
    """Return the parts of consecutive pages that hold the items from `start` to below `end`."""
    return [
        page.cut(max(start, page.start), min(end, page.end))
        for page in pages
        if page.start < end and start < page.end
    ]


@dataclass(frozen=True)
class RestRef:
    """Items that a batch handed back, by where its commit lists them: so it takes the same room for one or a million.

    Attributes:
        key: Of the commit.
        number: Which of its sets.
        count: How many items of the set.
        start: No item of the set has a lower index.
        end: Nor one as high as this.
        offset: How many of the set to leave out, in index order.
        due: When they may run, in seconds since the epoch; 0 for at once.
    """

    key: str
    number: int
    count: int
    start: int
    end: int
    offset: int = 0
    due: float = 0.0

    def cut(self, count: int) -> tuple[RestRef, RestRef | None]:
        """Return the first so many items, and the others if there are any."""
        if count >= self.count:
            return self, None
        other = replace(self, offset=self.offset + count, count=self.count - count)
        return replace(self, count=count), other


@dataclass(frozen=True)
class Scan:
    """One step of planning: the page found, where to go on, and what is known of the whole.

    Attributes:
        page: The items found in this step; its count may be 0.
        cursor: Where the next step begins; None when the source is exhausted.
        total: Items of the whole source: exact once `cursor` is None, else the best estimate.
    """

    page: Page
    cursor: dict[str, Json] | None
    total: int
