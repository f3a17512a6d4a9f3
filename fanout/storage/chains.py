"""Outputs that are read as one: a run, what continues it, and what takes up again its failed or missing items.

The newest outcome of an item counts. A rerun takes up only items without a result, and what it begins from is closed:
so an item has one result in all outputs at most, and a failure counts unless a later output settles its item.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from fanout.errors import StoreError
from fanout.models import Totals
from fanout.pages import Source
from fanout.storage import commits, markers, roll_ups, selections, tiling, views
from fanout.storage.publishing import load_manifest
from fanout.storage.records import RunRecord
from fanout.storage.rows import index_of
from fanout.storage.selections import Selected
from fanout.storage.stores import Store
from fanout.storage.tiling import Range
from fanout.storage.views import View

_FOR_EVER = 2**63


@dataclass(frozen=True)
class Link:
    """One output of a chain, as it was when it was looked at.

    Attributes:
        store: The output.
        record: Its marker.
        views: What was there.
        selected: Of a rerun, its items.
    """

    store: Store
    record: RunRecord
    views: list[View]
    selected: Selected | None


async def look(store: Store, check: Callable[[str], str] = str) -> list[Link]:
    """Look at an output and those before it, the oldest first.

    Args:
        store: The output.
        check: As for `views.chain`.

    Raises:
        StoreError: There is no marker, or the chain comes back to itself.
    """
    return [await look_at(one) for one in await views.chain(store, check)]


async def look_at(store: Store) -> Link:
    """Look at an output alone.

    Raises:
        StoreError: There is no marker.
    """
    record = await markers.load_run(store, None)
    return Link(store, record, await views.look(store), await selections.of(store))


def source_of(links: Sequence[Link]) -> Source:
    """Return the source of all items of a chain: a run that continues others names the one that holds theirs, too."""
    # The items of a compensation are those of another chain.
    own = [link.record.source for link in links if link.selected is None] or [links[0].record.source]
    first, last = own[0], own[-1]
    limit = None if last.limit is None else last.skip + last.limit - first.skip
    # Planning reads the outputs, so it is no small thing.
    return replace(last, skip=first.skip, limit=limit, inline=False)


async def settled(link: Link, low: int = 0) -> AsyncGenerator[list[Range]]:
    """Yield the items that have an outcome in an output, as ranges of indexes in order, many at a time.

    Args:
        link: The output.
        low: Items before this one may be left out.
    """
    nonce = link.record.nonce
    at = await views.last_before(link.store, nonce, link.views, low) if low else 0
    for view in link.views[max(at, 0) :]:
        if view.roll_up is not None:
            found = await roll_ups.load(link.store, nonce, view.roll_up)
            parts = tiling.subtract(found.start, found.count, tiling.ranges(found.not_run), view.roll_up)
        else:
            loaded = await views.load_commits(link.store, nonce, view)
            parts = tiling.joined(part for commit in loaded for part in commits.outcomes(commit))
        if link.selected is None:
            yield parts
            continue
        async with contextlib.aclosing(link.selected.runs(parts)) as runs:
            async for some in runs:
                yield some


async def totals(links: Sequence[Link]) -> Totals:
    """Return the sums over all outcomes, superseded ones too."""
    found = Totals()
    for link in links:
        for view in link.views:
            if view.roll_up is not None:
                found += (await roll_ups.load(link.store, link.record.nonce, view.roll_up)).totals
            else:
                for commit in await views.load_commits(link.store, link.record.nonce, view):
                    found += commit.totals
    return found


async def complete_to(store: Store) -> int | None:
    """Return the index after the last item of ended runs; None where some items have, or may have, no outcome."""
    whole, end = True, 0
    for number, output in enumerate(await views.chain(store)):
        record, manifest = await markers.load_run(output, None), await load_manifest(output)
        ended = manifest is not None and not manifest.result.not_run
        if record.rerun is not None and record.rerun.undone:
            whole = ended
        elif record.rerun is None:
            whole = ended and (whole or not number)
            if ended and manifest is not None:
                end = record.source.skip + manifest.result.items
        elif ended and record.rerun.not_run and (known := await selections.find_all(output)) is not None:
            whole, end = True, max(end, known.end)
    return end if whole else None


class Cursor:
    """Walks once over ranges in order.

    Args:
        ranges: The ranges, many at a time.
    """

    def __init__(self, ranges: AsyncIterator[list[Range]]) -> None:
        self._ranges = ranges
        self._block: list[Range] = []
        self._at = 0

    async def upto(self, end: int) -> list[Range]:
        """Return what of the ranges lies below an index, and was not returned before."""
        found: list[Range] = []
        while await self._filled():
            first, count = self._block[self._at]
            if first >= end:
                break
            if first + count > end:
                found.append((first, end - first))
                self._block[self._at] = (end, first + count - end)
                break
            found.append((first, count))
            self._at += 1
        return found

    async def _filled(self) -> bool:
        while self._at >= len(self._block):
            block = await anext(self._ranges, None)
            if block is None:
                return False
            self._block, self._at = list(block), 0
        return True


async def without(
    rows: AsyncIterator[list[bytes]], holes: Sequence[Cursor], name: str
) -> AsyncGenerator[list[bytes]]:
    """Yield rows in index order but for those of some items.

    Args:
        rows: The rows.
        holes: The items; each cursor is walked on.
        name: Of the rows' output, for errors.
    """
    async for lines in rows:
        if not lines:
            continue
        indexes = [index_of(line, name) for line in lines]
        gone = tiling.union([part for cursor in holes for part in await cursor.upto(indexes[-1] + 1)])
        kept: list[bytes] = []
        at = 0
        for first, count in gone:
            kept += lines[at : bisect_left(indexes, first)]
            at = bisect_left(indexes, first + count)
        kept += lines[at:]
        if kept:
            yield kept


class _Head:
    """The rows of one output that were read, and not given out."""

    def __init__(self, rows: AsyncIterator[list[bytes]], name: str) -> None:
        self._rows = rows
        self._name = name
        self.lines: list[bytes] = []
        self.indexes: list[int] = []

    async def first(self) -> int:
        """Return the index of the next row; one beyond all items where there is none."""
        while not self.lines:
            lines = await anext(self._rows, None)
            if lines is None:
                return _FOR_EVER
            self.lines, self.indexes = lines, [index_of(line, self._name) for line in lines]
        return self.indexes[0]

    def take(self, below: int) -> list[bytes]:
        """Take the rows of items below an index."""
        cut = bisect_left(self.indexes, below)
        taken = self.lines[:cut]
        self.lines, self.indexes = self.lines[cut:], self.indexes[cut:]
        return taken


async def interleaved(
    sources: Sequence[tuple[AsyncIterator[list[bytes]], str]],
) -> AsyncGenerator[list[bytes]]:
    """Yield the rows of several outputs in index order.

    Args:
        sources: Rows in index order, each with the name of their output.

    Raises:
        StoreError: Two are of the same item.
    """
    heads = [_Head(rows, name) for rows, name in sources]
    while heads:
        firsts = sorted([(await head.first(), number) for number, head in enumerate(heads)])
        first, number = firsts[0]
        if first == _FOR_EVER:
            return
        below = firsts[1][0] if len(firsts) > 1 else _FOR_EVER
        if first == below:
            raise StoreError(f"{sources[number][1]} holds a second outcome of item {first}")
        yield heads[number].take(below)
