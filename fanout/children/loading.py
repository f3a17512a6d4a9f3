"""Reading the items of a batch: a range, or scattered ones, and no more bytes than it may hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fanout.pages import Json, Page
from fanout.readers.base import Reader, Records, Unreadable
from fanout.storage import tiling
from fanout.storage.files import Files
from fanout.storage.rests import Items
from fanout.storage.selections import Selected
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

GAP_BYTES = 128 * 1024
"""Two items no further apart than this are read by one request: that is cheaper than two."""


class Picked(Records):
    """Some of the items of a range."""

    def __init__(self, whole: Records, positions: Sequence[int]) -> None:
        self.json = whole.json
        self.values: Sequence[bytes | Json | Unreadable] = [whole.values[p] for p in positions]
        self._whole = whole
        self._positions = positions

    def source(self, position: int) -> str:
        """See base class."""
        return self._whole.source(self._positions[position])


@dataclass
class Stretch:
    """Items of one page that are read by one request.

    Attributes:
        page: The page.
        wanted: The batch's items in it, as ranges in order; those between them are read and dropped.
    """

    page: Page
    wanted: list[Range]

    @property
    def start(self) -> int:
        """First item to read."""
        return self.wanted[0][0]

    @property
    def end(self) -> int:
        """Index after the last item to read."""
        return sum(self.wanted[-1])


@dataclass(frozen=True)
class Plan:
    """What is to be read for a batch.

    Attributes:
        items: The items that fit.
        left: Those that do not.
        stretches: How to read them.
        size: Bytes that this takes.
        indexes: The indexes of the items that fit, where those are given by positions.
    """

    items: list[Items]
    left: list[Items]
    stretches: list[Stretch]
    size: int
    indexes: list[int] = field(default_factory=list)


class Loader:
    """Reads the items of one batch.

    Args:
        reader: Of the run's source.
        files: For source files.
        store: The output.
        selected: Of a rerun, its items: batches know them by their positions.
    """

    def __init__(self, reader: Reader, files: Files, store: Store, selected: Selected | None = None) -> None:
        self._reader = reader
        self._files = files
        self._store = store
        self._selected = selected

    async def plan(self, items: Sequence[Items], pages: Sequence[Page], most: int) -> Plan:
        """Find out how many of some items may be read, and how.

        Args:
            items: In index order.
            pages: Where they are, in order.
            most: Bytes to read at most; but at least one item.
        """
        if self._selected is None:
            return await self._plan(items, pages, most)
        there, pages = await self._in_source(items, self._selected)
        plan = await self._plan(there, pages, most)
        indexes = [index for one in plan.items for index in range(one.start, one.start + one.count)]
        fitting, left = divide(items, len(indexes))
        return Plan(fitting, left, plan.stretches, plan.size, indexes)

    async def _plan(self, items: Sequence[Items], pages: Sequence[Page], most: int) -> Plan:
        size = 0
        taken: list[Stretch] = []
        for stretch in stretches(items, pages):
            if taken and size >= most:
                return _cut(items, taken, stretch.start, size)
            count = stretch.end - stretch.start
            fitting, taking = await self._reader.fit(
                self._files, self._store, stretch.page, stretch.start, count, max(1, most - size)
            )
            size += taking
            end = stretch.start + fitting
            taken.append(Stretch(stretch.page, tiling.clip(stretch.wanted, stretch.start, end)))
            if fitting < count:
                return _cut(items, taken, end, size)
        return Plan(list(items), [], taken, size)

    async def _in_source(self, items: Sequence[Items], selected: Selected) -> tuple[list[Items], list[Page]]:
        """Return the items at some positions by their indexes, and the pages of the source that hold them."""
        found: list[Items] = []
        pages: list[Page] = []
        for one in items:
            async for chunk in selected.chunks(one.start, one.count):
                runs = chunk.runs(one.start, one.start + one.count)
                found += [replace(one, start=first, count=count) for first, count in runs]
                if not pages or pages[-1] is not chunk.page:
                    pages.append(chunk.page)
        return found, pages

    async def read(self, plan: Plan) -> list[Records]:
        """Read what was planned.

        Raises:
            SourceError: The source is gone, or not the one that was planned.
        """
        found: list[Records] = []
        for one in plan.stretches:
            records = await self._reader.read(
                self._files, self._store, one.page, one.start, one.end - one.start
            )
            found.append(records if len(one.wanted) == 1 else Picked(records, _positions(one)))
        return found


def stretches(items: Sequence[Items], pages: Sequence[Page]) -> list[Stretch]:
    """Return what is to be read for some items, in their order."""
    found: list[Stretch] = []
    at = 0
    for one in items:
        start, end = one.start, one.start + one.count
        while start < end:
            while pages[at].end <= start:
                at += 1
            stop = min(end, pages[at].end)
            _add(found, pages[at], start, stop - start)
            start = stop
    return found


def _add(found: list[Stretch], page: Page, start: int, count: int) -> None:
    last = found[-1] if found else None
    if last is None or last.page is not page or (start - last.end) * page.size > GAP_BYTES * page.count:
        found.append(Stretch(page, [(start, count)]))
    elif start == last.end:
        last.wanted[-1] = (last.wanted[-1][0], last.wanted[-1][1] + count)
    else:
        last.wanted.append((start, count))


def _cut(items: Sequence[Items], taken: list[Stretch], end: int, size: int) -> Plan:
    """Return the plan for the items below an index."""
    low: list[Items] = []
    high: list[Items] = []
    for one in items:
        below = min(max(end - one.start, 0), one.count)
        if below:
            low.append(replace(one, count=below))
        if below < one.count:
            high.append(replace(one, start=one.start + below, count=one.count - below))
    return Plan(low, high, taken, size)


def divide(items: Sequence[Items], count: int) -> tuple[list[Items], list[Items]]:
    """Return the first so many of some items, and the others."""
    low: list[Items] = []
    high: list[Items] = []
    for one in items:
        taken = min(count, one.count)
        count -= taken
        if taken:
            low.append(replace(one, count=taken))
        if taken < one.count:
            high.append(replace(one, start=one.start + taken, count=one.count - taken))
    return low, high


def _positions(one: Stretch) -> list[int]:
    """Return where the batch's items are among those read."""
    return [index - one.start for first, count in one.wanted for index in range(first, first + count)]
