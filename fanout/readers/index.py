"""The index object of a page: marks into its files, from which any range of items is found by bisection."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from fanout.errors import ObjectExists, SourceError
from fanout.pages import Json
from fanout.storage.files import SourceFile
from fanout.storage.stores import Store

VERSION = 1
CACHED = 64
"""Index objects that a process keeps; one of half a gigabyte of short lines takes about 200 KB."""


class Marks:
    """Places in a file at which an item may begin: item index, byte offset and line number, all ascending.

    The first mark is where the page begins in the file, the last one where it ends.
    """

    __slots__ = ("items", "lines", "offsets")

    def __init__(self, items: list[int], offsets: list[int], lines: list[int]) -> None:
        # Machine integers: a list of Python's would take four times the memory.
        self.items = array("q", items)
        self.offsets = array("q", offsets)
        self.lines = array("q", lines)

    def add(self, item: int, offset: int, line: int) -> None:
        """Append a mark."""
        self.items.append(item)
        self.offsets.append(offset)
        self.lines.append(line)


@dataclass(frozen=True)
class FileMarks:
    """What an index knows of one file.

    Attributes:
        file: The file as it was planned.
        marks: Into the page's part of it.
        header: The names of its columns; empty for formats without.
    """

    file: SourceFile
    marks: Marks
    header: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Span:
    """A byte range of one file, from mark to mark, and which of its items are wanted.

    Attributes:
        entry: The file.
        start: First byte.
        end: The byte after the last one.
        line: Number of the first line, from 1.
        items: How many items the range holds.
        skip: How many of them to leave out at the beginning.
        take: How many to take after these.
    """

    entry: FileMarks
    start: int
    end: int
    line: int
    items: int
    skip: int
    take: int


class Index:
    """All files of a page.

    Args:
        files: In order of their items.
        settings: What reading must agree on with the scan that made the marks.
    """

    def __init__(self, files: list[FileMarks], settings: dict[str, Json]) -> None:
        self.files = files
        self.settings = settings
        self._firsts = [entry.marks.items[0] for entry in files]

    def spans(self, start: int, count: int, largest: int) -> Iterator[Span]:
        """Yield the byte ranges that hold some items, in order.

        Args:
            start: Index of the first item.
            count: How many items.
            largest: An item known to have more bytes than this gets a span of its own.
        """
        for entry, first, stop in self._parts(start, start + count):
            yield from _spans(entry, first, stop, largest)

    def fit(self, start: int, count: int, most: int, largest: int, excerpt: int) -> tuple[int, int]:
        """Return how many items can be read within some bytes, at least 1, and the bytes that these take.

        Args:
            start: Index of the first item.
            count: How many items are wanted.
            most: The bytes.
            largest: Of an item known to have more bytes than this only an excerpt is read.
            excerpt: The bytes of that.
        """
        end = start + count
        reached, taken = start, 0
        for stop, size in self._steps(start, end, largest, excerpt):
            if taken + size > most and reached > start:
                return reached - start, taken
            taken += size
            if taken > most:
                # The first step is too much already. It is fetched whole, whatever is taken of it.
                return 1, taken
            reached = stop
        return count, taken

    @property
    def heaviest(self) -> int:
        """Bytes that the largest item has at least."""
        return max(
            (
                (end[1] - begin[1]) // (end[0] - begin[0])
                for entry in self.files
                for begin, end in pairwise(zip(entry.marks.items, entry.marks.offsets, strict=True))
                if end[0] > begin[0]
            ),
            default=0,
        )

    def _steps(self, start: int, end: int, largest: int, excerpt: int) -> Iterator[tuple[int, int]]:
        """Yield where each step from mark to mark ends, as far as items of it are wanted, and the bytes to fetch."""
        for entry, first, stop in self._parts(start, end):
            marks = entry.marks
            low = bisect_right(marks.items, first) - 1
            for at in range(low, bisect_left(marks.items, stop)):
                size = marks.offsets[at + 1] - marks.offsets[at]
                alone = marks.items[at + 1] - marks.items[at] == 1
                yield (
                    min(stop, marks.items[at + 1]),
                    min(size, excerpt) if alone and size > largest else size,
                )

    def _parts(self, start: int, end: int) -> Iterator[tuple[FileMarks, int, int]]:
        """Yield the files that hold some items, each with its range of them."""
        # Of files that begin with the same item all but the last one are empty.
        number = max(0, bisect_right(self._firsts, start) - 1)
        while start < end and number < len(self.files):
            entry = self.files[number]
            stop = min(end, entry.marks.items[-1])
            if stop > start:
                yield entry, start, stop
                start = stop
            number += 1
        if start < end:
            raise SourceError(
                f"the index of the page ends before item {start:,}: it was asked for up to {end:,}"
            )

    def to_bytes(self) -> bytes:
        """Return the content of the object; the same for the same index."""
        files = [
            {
                "url": entry.file.url,
                "size": entry.file.size,
                "version": entry.file.version,
                "header": entry.header,
                "items": entry.marks.items.tolist(),
                "offsets": entry.marks.offsets.tolist(),
                "lines": entry.marks.lines.tolist(),
            }
            for entry in self.files
        ]
        whole = {"index": VERSION, "settings": self.settings, "files": files}
        return json.dumps(whole, separators=(",", ":"), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Read what `to_bytes` returned."""
        whole = json.loads(data)
        if whole.get("index") != VERSION:
            raise SourceError(
                "the index of the page was written by another version of fanout: start a new run"
            )
        files = [
            FileMarks(
                SourceFile(entry["url"], entry["size"], entry["version"]),
                Marks(entry["items"], entry["offsets"], entry["lines"]),
                entry["header"],
            )
            for entry in whole["files"]
        ]
        return cls(files, whole["settings"])


def _spans(entry: FileMarks, start: int, stop: int, largest: int) -> Iterator[Span]:
    marks = entry.marks
    low = bisect_right(marks.items, start) - 1
    high = bisect_left(marks.items, stop)
    begin = low
    if marks.offsets[high] - marks.offsets[low] > largest:
        for at in range(low, high):
            alone = marks.items[at + 1] - marks.items[at] == 1
            if alone and marks.offsets[at + 1] - marks.offsets[at] > largest:
                if begin < at:
                    yield from _span(entry, begin, at, start, stop)
                yield from _span(entry, at, at + 1, start, stop)
                begin = at + 1
    if begin < high:
        yield from _span(entry, begin, high, start, stop)


def _span(entry: FileMarks, low: int, high: int, start: int, stop: int) -> Iterator[Span]:
    marks = entry.marks
    first, last = marks.items[low], marks.items[high]
    skip = max(0, start - first)
    take = min(stop, last) - first - skip
    if take > 0:
        yield Span(entry, marks.offsets[low], marks.offsets[high], marks.lines[low], last - first, skip, take)


# --------------------------------------------------------------------------------------------- objects

_cache: OrderedDict[tuple[str, str], Index] = OrderedDict()


async def save(store: Store, path: str, index: Index) -> None:
    """Write an index object, or find it written by an earlier attempt of the same scan.

    Raises:
        SourceError: An earlier attempt saw another source.
    """
    data = index.to_bytes()
    try:
        await store.create(path, data)
    except ObjectExists:
        if await store.read(path) != data:
            raise SourceError("the source changed while the run was being planned: start a new run") from None
    _remember((store.url, path), index)


async def load(store: Store, path: str) -> Index:
    """Return an index object; from memory where this process knows it, for it never changes."""
    key = (store.url, path)
    known = _cache.get(key)
    if known is None:
        known = Index.from_bytes(await store.read(path))
    _remember(key, known)
    return known


def _remember(key: tuple[str, str], index: Index) -> None:
    _cache[key] = index
    _cache.move_to_end(key)
    while len(_cache) > CACHED:
        _cache.popitem(last=False)
