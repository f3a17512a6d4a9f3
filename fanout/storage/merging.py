"""Rows of several data objects in index order, in bounded memory, however large the objects are."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterable

from fanout.errors import StoreError
from fanout.storage.records import DataObject
from fanout.storage.rows import index_of
from fanout.storage.stores import Store

BLOCK_BYTES = 1024 * 1024
"""Of each object that is being read: only those whose items interleave are at the same time."""

_FOR_EVER = 2**63


class _Source:
    """One data object, read a block at a time. Its rows are in index order."""

    def __init__(self, store: Store, data: DataObject) -> None:
        self.data = data
        self.name = f"{store.url}/{data.path}"
        self.lines: list[bytes] = []
        self.indexes: list[int] = []
        self._store = store
        self._at = 0
        self._carry = b""
        self._rows = 0

    async def fill(self) -> bool:
        """Read on until there are lines; returns whether there are any."""
        while not self.lines and self._at < self.data.size:
            end = min(self._at + BLOCK_BYTES, self.data.size)
            block = await self._store.read_range(self.data.path, self._at, end)
            if not block:
                break
            self._at += len(block)
            *self.lines, self._carry = (self._carry + block).split(b"\n")
            self._rows += len(self.lines)
        if not self.lines and (self._carry or self._rows != self.data.rows):
            raise StoreError(
                f"{self.name} has {self._rows:,} rows where {self.data.rows:,} are committed; it is damaged"
            )
        return bool(self.lines)

    async def index(self) -> bool:
        """Read on until there are lines, and learn their items; returns whether there are any."""
        found = bool(self.lines)
        if not found and (found := await self.fill()):
            self.indexes = [index_of(line, self.name) for line in self.lines]
        return found

    def take(self, below: int) -> tuple[list[bytes], list[int]]:
        """Take the lines of items below an index."""
        cut = bisect_left(self.indexes, below)
        taken = self.lines[:cut], self.indexes[:cut]
        self.lines, self.indexes = self.lines[cut:], self.indexes[cut:]
        return taken


async def merged(store: Store, sources: Iterable[DataObject]) -> AsyncGenerator[list[bytes], None]:
    """Yield the lines of some data objects in index order, many at a time, without their ends.

    Args:
        store: The output.
        sources: The data objects.

    Raises:
        ObjectMissing: One is gone.
        StoreError: One is damaged, or two hold the same item.
    """
    waiting = sorted(sources, key=lambda data: data.first, reverse=True)
    if len(waiting) == 1:
        async for lines in _whole(store, waiting[0]):
            yield lines
        return
    open_now: list[tuple[int, int, _Source]] = []
    last = -1
    while waiting or open_now:
        while waiting and (not open_now or waiting[-1].first <= open_now[0][0]):
            source = _Source(store, waiting.pop())
            if await source.index():
                heapq.heappush(open_now, (source.indexes[0], len(waiting), source))
        if not open_now:
            continue
        _, number, source = heapq.heappop(open_now)
        below = min(open_now[0][0] if open_now else _FOR_EVER, waiting[-1].first if waiting else _FOR_EVER)
        # At least one: where two objects begin with the same item, that is the error to find.
        lines, indexes = source.take(max(below, source.indexes[0] + 1))
        if indexes[0] <= last:
            raise StoreError(f"{source.name} holds a second row of item {indexes[0]}")
        last = indexes[-1]
        if await source.index():
            heapq.heappush(open_now, (source.indexes[0], number, source))
        yield lines


async def _whole(store: Store, data: DataObject) -> AsyncGenerator[list[bytes], None]:
    source = _Source(store, data)
    while await source.fill():
        yield source.lines
        source.lines = []
