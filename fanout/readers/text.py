"""What readers of line-based files share: planning by one scan, and ranged reads by the marks it left."""

from __future__ import annotations

import asyncio
import codecs
import functools
import os
import posixpath
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import ClassVar, Self
from urllib.parse import unquote

from fanout.errors import ObjectMissing, SourceError, UsageError
from fanout.pages import Json, Page, Scan
from fanout.readers import index as indexes
from fanout.readers.base import Reader, Records, Unreadable
from fanout.readers.index import Marks, Span
from fanout.readers.scanner import THREAD_BYTES, Beginning, Bounds, Scanner
from fanout.readers.scanning import PageScan, Position
from fanout.storage import layout, roots
from fanout.storage.files import Files, SourceFile, Unreachable
from fanout.storage.sourcefile import changed
from fanout.storage.stores import Store

PathLike = str | os.PathLike[str]

BOM = codecs.BOM_UTF8
EXCERPT = 200
"""Characters of an unreadable item that are kept."""
REMOTE_SECONDS = 10.0
"""How long a look at a remote source may take before the run starts; the workers will look again."""
PREPARED_FILES = 100
"""Patterns that are looked at before the run starts; the rest is left to planning."""


@dataclass(frozen=True)
class Parsed:
    """The items of one span, in order, with the number of the line at which each begins."""

    values: Sequence[Json]
    lines: Sequence[int]


class TextRecords(Records):
    """Items of text files."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.values: list[Json] = []
        self._starts: list[int] = []
        self._parts: list[tuple[str, Sequence[int]]] = []

    def add(self, label: str, parsed: Parsed) -> None:
        """Append the items of one file."""
        self._starts.append(len(self.values))
        self._parts.append((label, parsed.lines))
        # The usual batch lies in one file: its list is taken as it is.
        if self.values or not isinstance(parsed.values, list):
            self.values.extend(parsed.values)
        else:
            self.values = parsed.values

    def source(self, position: int) -> str:
        """Say in which file and line an item stands."""
        number = bisect_right(self._starts, position) - 1
        label, lines = self._parts[number]
        return f"{label}:{lines[position - self._starts[number]]}"


class TextReader(Reader):
    """Base of readers whose items are lines, or a few lines each.

    Args:
        path: A path, URL or glob, or several of them.
        key: The field of an item that names it to people.

    Raises:
        UsageError: No path is given, or one is no path or URL.

    Attributes:
        patterns: URLs and globs, in the order of their items.
        largest: Bytes above which an item is unreadable. One of more than 64 KiB is then not even loaded, unless it is
            a record of CSV with quotes.
        bounds: How the source is cut.
    """

    json: ClassVar[bool]
    bounds: Bounds = Bounds()

    def __init__(self, path: PathLike | Sequence[PathLike], *, key: str | None = None) -> None:
        several = [path] if isinstance(path, str | os.PathLike) else list(path)
        if not several:
            raise UsageError(f"{type(self).__name__} needs at least one path")
        for one in several:
            if not isinstance(one, str | os.PathLike):
                raise UsageError(f"{type(self).__name__} takes paths, got {type(one).__name__}")
        self.patterns = [roots.to_url(one) for one in several]
        self.key = key

    # ------------------------------------------------------------------------------- for the formats

    def begin(self, head: bytes, file: SourceFile, whole: bool) -> Beginning | None:
        """Say where the items of a file begin; None when more than `head` is needed.

        Args:
            head: The first bytes of the file.
            file: The file.
            whole: Whether these are all of its bytes.

        Raises:
            SourceError: The file is not of this format.
        """
        if len(head) < len(BOM) and not whole:
            return None
        return Beginning(len(BOM) if head.startswith(BOM) else 0, 1)

    @abstractmethod
    def scanner(self, marks: Marks, stop: int, header: list[str]) -> Scanner:
        """Return a scanner for one file."""

    @abstractmethod
    def parse(self, data: bytes, span: Span) -> Parsed:
        """Return all items of a span."""

    def settings(self) -> dict[str, Json]:
        """Return what reading must agree on with the scan."""
        return {}

    def check_settings(self, planned: dict[str, Json]) -> None:
        """Refuse to read with other settings than those of the scan."""

    # -------------------------------------------------------------------------------------- the reader

    def args(self) -> dict[str, Json]:
        """Return the paths as URLs."""
        return {"path": list(self.patterns)}

    @classmethod
    def from_args(cls, args: dict[str, Json]) -> Self:
        """Make the reader from what `args` returned."""
        return cls(**args)

    async def prepare(self, store: Store, name: str) -> Reader:
        """Check that the files are there and begin as they should; return the reader with absolute URLs."""
        files = Files(None)
        for url in self.patterns[:PREPARED_FILES]:
            try:
                async with asyncio.timeout(None if url.startswith("file://") else REMOTE_SECONDS):
                    await self._check(files, url)
            except (Unreachable, OSError):
                # Credentials are the workers' business: this process need not have any.
                if url.startswith("file://"):
                    raise
        return self

    async def scan(
        self, files: Files, store: Store, name: str, cursor: dict[str, Json] | None, limit: int | None
    ) -> Scan:
        """Scan the next half gigabyte of the files, and write one index object of marks into them."""
        position = Position.parse(cursor)
        work = PageScan(self, files, position, limit)
        await work.run()
        count = work.position.item - position.item
        locator: dict[str, Json] = {}
        if count:
            path = f"{layout.index_path(name)}/{position.item:012}.json"
            await indexes.save(store, path, indexes.Index(work.entries, self.settings()))
            locator = {"index": path}
        total = await work.estimate()
        page = Page(start=position.item, count=count, size=work.size, locator=locator)
        return Scan(page=page, cursor=None if work.exhausted else work.position.cursor(), total=total)

    async def read(self, files: Files, store: Store, page: Page, start: int, count: int) -> Records:
        """Read the byte ranges that hold the items, and no more than two steps beyond."""
        records = TextRecords(self.json)
        if count <= 0:
            return records
        index = await indexes.load(store, page.locator["index"])
        self.check_settings(index.settings)
        spans = list(index.spans(start, count, self.largest))
        ranges = [(span.entry.file, span.start, self._end(span)) for span in spans]
        for span, data in zip(spans, await files.read_all(ranges), strict=True):
            label = _label(span.entry.file.url, self._folder)
            # Parsing megabytes would keep the event loop from everything else.
            small = len(data) < THREAD_BYTES
            parsed = self._items(span, data) if small else await asyncio.to_thread(self._items, span, data)
            records.add(label, parsed)
        return records

    async def heaviest(self, store: Store, page: Page) -> int:
        """Say how large the largest item is, by the marks around it."""
        return (await indexes.load(store, page.locator["index"])).heaviest if page.count else 0

    async def check_same(self, store: Store, earlier: Store, page: Page) -> bool:
        """Compare the files of a page with those that the same page had then; one that is new is none of that run's."""
        path = page.locator.get("index")
        if path is None:
            return False
        try:
            before = await indexes.load(earlier, path)
        except ObjectMissing:
            return False
        now = await indexes.load(store, path)
        for ours, theirs in zip_longest(now.files, before.files):
            if ours is None or theirs is None or ours.file != theirs.file:
                raise changed((ours or theirs).file)
        return True

    async def fit(
        self, files: Files, store: Store, page: Page, start: int, count: int, most: int
    ) -> tuple[int, int]:
        """Say how many items fit, by the bytes that `read` would fetch for them: whole steps of the index."""
        if count <= 0:
            return 0, 0
        index = await indexes.load(store, page.locator["index"])
        return index.fit(start, count, most, self.largest, 4 * EXCERPT)

    @functools.cached_property
    def _folder(self) -> str:
        return _common_folder(self.patterns)

    def _too_large(self, span: Span) -> bool:
        return span.items == 1 and span.end - span.start > self.largest

    def _end(self, span: Span) -> int:
        return min(span.end, span.start + 4 * EXCERPT) if self._too_large(span) else span.end

    def _items(self, span: Span, data: bytes) -> Parsed:
        if self._too_large(span):
            return Parsed([too_large(span.end - span.start, self.largest, data)], [span.line])
        parsed = self.parse(data, span)
        if len(parsed.values) != span.items:
            raise SourceError(
                f"{roots.display(span.entry.file.url)} has {len(parsed.values):,} items from line {span.line:,} on "
                f"where {span.items:,} were planned; start a new run"
            )
        if span.take == span.items:
            return parsed
        wanted = slice(span.skip, span.skip + span.take)
        return Parsed(parsed.values[wanted], parsed.lines[wanted])

    async def _check(self, files: Files, url: str) -> None:
        for file in await files.list(url, limit=1):
            size = 64 * 1024
            while True:
                head = await files.read(file, 0, min(size, file.size))
                if self.begin(head, file, len(head) == file.size) is not None:
                    break
                size *= 4


def too_large(size: int, most: int, data: bytes | str) -> Unreadable:
    """Return what stands for an item of more bytes than are read."""
    return Unreadable(f"{size:,} bytes, at most {most:,} are read", "ItemTooLarge", excerpt(data))


def excerpt(data: bytes | str) -> str:
    """Return the beginning of an item, for people."""
    if isinstance(data, bytes):
        data = data[: 4 * EXCERPT].decode("utf-8", "replace")
    text = data.strip("\r\n")
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"


def is_utf8(data: bytes) -> bool:
    """Say whether bytes are valid UTF-8, without a copy of them all."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), 1 << 20):
            decoder.decode(data[start : start + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _common_folder(patterns: list[str]) -> str:
    """Return the folder below which all patterns lie, wildcards left out."""
    folders = []
    for pattern in patterns:
        parts = pattern.split("/")
        wild = next((n for n, part in enumerate(parts) if any(sign in part for sign in "*?[")), len(parts))
        folders.append("/".join(parts[: min(wild, len(parts) - 1)]))
    if len(folders) == 1:
        return folders[0]
    # What the first and the last one in order share, all between them share as well.
    first, last = (pick(folder.split("/") for folder in folders) for pick in (min, max))
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "/".join(part for part, _ in shared)


def _label(url: str, folder: str) -> str:
    """Return how a file is called in failures: its path below the folder that all files share."""
    name = url[len(folder) :].lstrip("/") if url.startswith(f"{folder}/") else posixpath.basename(url)
    return unquote(name) if url.startswith(("file://", "http")) else name
