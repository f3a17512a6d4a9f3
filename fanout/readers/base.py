"""What a reader is: it plans a source a page at a time, and opens any range of a page.

Readers know nothing of Temporal. They run on workers, except `prepare`, which runs where the run is started.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from fanout.errors import UsageError
from fanout.pages import Json, Page, Scan, Source
from fanout.storage.files import Files
from fanout.storage.stores import Store


@dataclass(frozen=True)
class Unreadable:
    """Stands for an item that cannot be read; it becomes a failure record of its own.

    Attributes:
        reason: What is wrong, for a person, without the position.
        error_type: Name of the reason, such as `"InvalidUtf8"`.
        excerpt: The beginning of what was there.
    """

    reason: str
    error_type: str
    excerpt: str


class Records(ABC):
    """The raw items of one range, in order.

    Attributes:
        values: One per item: JSON text as bytes where `json` is true, else a Python value; or `Unreadable`.
        json: Whether the values are JSON text.
    """

    values: Sequence[bytes | Json | Unreadable]
    json: bool

    @abstractmethod
    def source(self, position: int) -> str:
        """Say where the item at this position of the range stands, such as `urls.csv:18`."""


class Reader(ABC):
    """Where items come from.

    Attributes:
        kind: The name under which workers know this reader.
        key: The field of an item that names it to people; None for its index.
        inline: Whether planning has nothing to read.
        largest: Bytes above which `read` may leave an item unloaded and return it as `Unreadable`, "ItemTooLarge". A
            bound on memory, not a promise: whoever reads checks the items that come.
    """

    kind: ClassVar[str]
    inline: bool = False
    largest: int = 1024 * 1024 * 1024
    key: str | None = None
    _skip: int = 0
    _limit: int | None = None

    @abstractmethod
    def args(self) -> dict[str, Json]:
        """Return what `from_args` needs to make this reader again: JSON, no credentials."""

    @classmethod
    @abstractmethod
    def from_args(cls, args: dict[str, Json]) -> Self:
        """Make the reader from what `args` returned."""

    @abstractmethod
    async def prepare(self, store: Store, name: str) -> Reader:
        """Check the source and make it reachable for workers, where the run is started.

        Args:
            store: Where items may be staged.
            name: Prefix for the names of staged objects.

        Returns:
            The reader to send: itself, with absolute URLs, or one over staged items.

        Raises:
            SourceError: The source is missing, matches nothing, or cannot be read.
        """

    @abstractmethod
    async def scan(
        self, files: Files, store: Store, name: str, cursor: dict[str, Json] | None, limit: int | None
    ) -> Scan:
        """Find the next page of items.

        Streams at most about a gigabyte of the source; never loads everything.

        Args:
            files: For reading source files under the allowed roots.
            store: The run's output, for index objects.
            name: Prefix for the names of index objects.
            cursor: Where the last scan ended; None at the beginning.
            limit: How many items the page may have at most; None for no bound.

        Returns:
            The page, the next cursor, and the count of the whole as far as it is known.

        Raises:
            SourceError: The source is missing, or changed since the last page.
        """

    @abstractmethod
    async def read(self, files: Files, store: Store, page: Page, start: int, count: int) -> Records:
        """Open a range inside a page.

        Args:
            files: For reading source files under the allowed roots.
            store: The run's output, for index objects.
            page: A page that `scan` returned, or a part of one.
            start: Index of the first item, at or after `page.start`.
            count: How many items; the range ends at or before the page's end.

        Raises:
            SourceError: The source is missing, or changed since it was planned.
        """

    async def fit(
        self, files: Files, store: Store, page: Page, start: int, count: int, most: int
    ) -> tuple[int, int]:
        """Say how many items may be read at once within some bytes, and about how many bytes that takes.

        A reader that knows where its items lie bounds them, whatever their sizes; by default all of them are said to
        fit, and each to have the page's average size.

        Args:
            files: For reading source files under the allowed roots.
            store: The run's output, for index objects.
            page: A page that `scan` returned, or a part of one.
            start: Index of the first item, at or after `page.start`.
            count: How many items are wanted; the range ends at or before the page's end.
            most: Bytes that `read` may take.

        Returns:
            How many of the items, at least 1 where any is wanted; and the bytes that reading so many takes.
        """
        return count, round(page.size * count / max(page.count, 1))

    async def heaviest(self, store: Store, page: Page) -> int:
        """Return how many bytes the largest item of a page has at least; 0 where the reader does not know.

        Args:
            store: Where `scan` wrote its index objects.
            page: A page that `scan` returned.
        """
        return 0

    async def check_same(self, store: Store, earlier: Store, page: Page) -> bool:
        """Check that a page is of the same source as an earlier run has planned, as far as the reader can know.

        Args:
            store: Where `scan` wrote its index objects.
            earlier: Where it did so for the earlier run.
            page: A page that `scan` returned, or a part of one.

        Returns:
            Whether the earlier run is known to have planned that page.

        Raises:
            SourceError: The source has changed since.
        """
        return False

    def __repr__(self) -> str:
        return self.kind

    def limit(self, count: int) -> Self:
        """Run only the first `count` items (after those skipped).

        Raises:
            UsageError: `count` is below 1.
        """
        if count < 1:
            raise UsageError(f"limit must be at least 1, got {count}")
        return self._with(_limit=count)

    def skip(self, count: int) -> Self:
        """Leave out the first `count` items; indexes stay those of the whole source.

        Raises:
            UsageError: `count` is below 0.
        """
        if count < 0:
            raise UsageError(f"skip must be at least 0, got {count}")
        return self._with(_skip=count)

    def to_source(self) -> Source:
        """Return what travels to workers."""
        return Source(
            kind=self.kind,
            args=self.args(),
            key=self.key,
            skip=self._skip,
            limit=self._limit,
            inline=self.inline,
        )

    def _with(self, **changes: object) -> Self:
        other = copy.copy(self)
        for name, value in changes.items():
            setattr(other, name, value)
        return other
