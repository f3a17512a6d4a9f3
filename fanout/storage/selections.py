"""The items that a rerun has selected: where each of them stands in the source.

A rerun counts its items by their positions among all that were selected, so that scattered items are as simple to
divide as any others. Positions and indexes have the same order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable

from fanout.errors import ObjectMissing, StoreError
from fanout.pages import Page
from fanout.storage import codec, markers, once
from fanout.storage.layout import SELECTED, SELECTION, position_of, selection_path
from fanout.storage.records import Chosen, ChosenAll
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

_KEPT = 64
"""Objects that a process keeps in memory: 160 KB each at most."""

_TABLES = 256


class Chunk:
    """One object of selected items, made for looking them up.

    Attributes:
        page: The part of the source's page that holds them.
        start: Position of the first one.
        end: Position after the last one.
    """

    __slots__ = ("_firsts", "_positions", "end", "page", "start")

    def __init__(self, chosen: Chosen) -> None:
        self.page: Page = chosen.page
        self.start = chosen.start
        # Machine integers: a list of Python's would take ten times the memory.
        self._firsts = array("q", (first for first, _ in chosen.runs))
        self._positions = array("q")
        at = chosen.start
        for _, count in chosen.runs:
            self._positions.append(at)
            at += count
        self.end = at

    def runs(self, low: int, high: int) -> list[Range]:
        """Return the items at the positions from `low` to below `high`, as ranges of indexes in order."""
        found: list[Range] = []
        low, high = max(low, self.start), min(high, self.end)
        at = bisect_right(self._positions, low) - 1
        while low < high:
            begin = self._positions[at]
            end = self._positions[at + 1] if at + 1 < len(self._positions) else self.end
            end = min(end, high)
            found.append((self._firsts[at] + low - begin, end - low))
            low, at = end, at + 1
        return found


_chunks: OrderedDict[tuple[str, int], Chunk] = OrderedDict()
_tables: OrderedDict[str, list[int]] = OrderedDict()


class Selected:
    """The items of a rerun, by their positions.

    Args:
        store: Its output.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def chunks(self, start: int, count: int) -> AsyncGenerator[Chunk]:
        """Yield the objects that hold the items at some positions, in order.

        Raises:
            StoreError: One is missing or damaged.
        """
        end = start + count
        while start < end:
            chunk = await self._holding(start)
            yield chunk
            start = chunk.end

    async def runs(self, positions: Iterable[Range]) -> AsyncGenerator[list[Range]]:
        """Yield the items at some positions as ranges of indexes, many at a time.

        Args:
            positions: Ranges of positions, in order.
        """
        for start, count in positions:
            async for chunk in self.chunks(start, count):
                yield chunk.runs(start, start + count)

    async def hulls(self, positions: Iterable[Range]) -> list[Range]:
        """Return for each range of positions the indexes from its first item to its last one.

        Between two of its items are only such as were not selected: the rerun has no row of them.
        """
        found = []
        for start, count in positions:
            first, last = await self.index_of(start), await self.index_of(start + count - 1)
            found.append((first, last + 1 - first))
        return found

    async def index_of(self, position: int) -> int:
        """Return the index of the item at a position."""
        return (await self._holding(position)).runs(position, position + 1)[0][0]

    async def _holding(self, position: int) -> Chunk:
        url = self._store.url
        for table in (_tables.get(url, []), None):
            # Selecting may have come further since the last look.
            starts = await self._look() if table is None else table
            at = bisect_right(starts, position) - 1
            if at >= 0:
                chunk = await self._load(starts[at])
                if position < chunk.end:
                    return chunk
        raise StoreError(f"no object in {url}/{SELECTION} says which item is the {position + 1:,}th selected")

    async def _look(self) -> list[int]:
        found = [position_of(stored.path) for stored in await self._store.list(SELECTION)]
        _tables[self._store.url] = found
        while len(_tables) > _TABLES:
            _tables.popitem(last=False)
        return found

    async def _load(self, start: int) -> Chunk:
        key = (self._store.url, start)
        chunk = _chunks.get(key)
        if chunk is None:
            path = selection_path(start)
            name = f"{self._store.url}/{path}"
            chosen = codec.decode(Chosen, await self._store.read(path), name)
            if chosen.start != start or not chosen.runs:
                raise StoreError(f"{name} says that it begins at {chosen.start}; it is damaged")
            chunk = _chunks[key] = Chunk(chosen)
        _chunks.move_to_end(key)
        while len(_chunks) > _KEPT:
            _chunks.popitem(last=False)
        return chunk


async def of(store: Store) -> Selected | None:
    """Return the items of the rerun that an output belongs to; None where it is no rerun's.

    Raises:
        StoreError: There is no output.
    """
    return Selected(store) if (await markers.load_run(store, None)).rerun is not None else None


async def write(store: Store, chosen: Chosen) -> None:
    """Write some of the items, or find them written by an earlier attempt.

    Raises:
        StoreError: That one has selected other items.
    """
    path, data = selection_path(chosen.start), codec.encode(chosen)
    if await once.settle(store, path, data) != data:
        raise StoreError(
            f"{store.url}/{path} holds another selection: the source or the outputs before changed "
            "while the rerun was planned; start it again"
        )


async def write_all(store: Store, known: ChosenAll) -> None:
    """Note that all items are selected."""
    await once.settle(store, SELECTED, codec.encode(known))


async def find_all(store: Store) -> ChosenAll | None:
    """Return what is known once all items are selected; None before."""
    try:
        return codec.decode(ChosenAll, await store.read(SELECTED), f"{store.url}/{SELECTED}")
    except ObjectMissing:
        return None
