"""What the tests of readers share: a place to read from and write to, and a whole plan at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fanout.pages import Page, Scan
from fanout.readers import Reader, Records, from_source, index
from fanout.readers.scanner import Bounds
from fanout.storage.files import Files
from fanout.storage.roots import Roots
from fanout.storage.stores import Store, open_store

TINY = Bounds(step=16, chunk=64, page_bytes=200, page_files=3)
"""Many marks, chunks and pages in a few hundred bytes."""


@dataclass
class Bench:
    """A folder of sources, a store, and readers' calls with these."""

    folder: Path
    files: Files
    store: Store

    @classmethod
    def at(cls, folder: Path) -> Bench:
        (folder / "in").mkdir(parents=True)
        return cls(folder / "in", Files(Roots([str(folder)])), open_store(str(folder / "out")))

    @classmethod
    def in_memory(cls, folder: Path) -> Bench:
        """Without the disk's syncs, for hundreds of examples."""
        return cls(folder, Files(Roots([str(folder)])), open_store(f"memory://{uuid.uuid4()}/out"))

    def write(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    async def scan(
        self,
        reader: Reader,
        cursor: dict[str, Any] | None = None,
        limit: int | None = None,
        name: str = "plan",
    ) -> Scan:
        return await reader.scan(self.files, self.store, name, cursor, limit)

    async def plan(self, reader: Reader, limits: Sequence[int | None] = (None,), name: str = "plan") -> Plan:
        """Scan the whole source, with each limit in turn."""
        pages: list[Page] = []
        cursor: dict[str, Any] | None = None
        for number in range(10_000):
            limit = limits[number % len(limits)]
            scan = await self.scan(reader, cursor, limit, name)
            assert scan.page.start == (pages[-1].start + pages[-1].count if pages else 0)
            assert limit is None or scan.page.count <= limit
            pages.append(scan.page)
            cursor = scan.cursor
            if cursor is None:
                # What is read now is what another process would read.
                index._cache.clear()
                return Plan(self, reader, pages, scan.total)
        raise AssertionError("the scan does not end")


@dataclass
class Plan:
    """All pages of a source."""

    bench: Bench
    reader: Reader
    pages: list[Page]
    total: int

    async def read(self, start: int = 0, count: int | None = None) -> list[tuple[Any, str]]:
        """Return the values and places of some items, whatever pages they lie in."""
        end = self.total if count is None else start + count
        found: list[tuple[Any, str]] = []
        for page in self.pages:
            low, high = max(start, page.start), min(end, page.start + page.count)
            if low < high:
                records = await self.records(page, low, high - low)
                assert len(records.values) == high - low
                found += [(value, records.source(i)) for i, value in enumerate(records.values)]
        return found

    async def values(self, start: int = 0, count: int | None = None) -> list[Any]:
        return [value for value, _ in await self.read(start, count)]

    async def records(self, page: Page, start: int, count: int) -> Records:
        """Read a part of a page as a worker does: from what travels, with a page cut to the part."""
        reader = from_source(self.reader.to_source())
        if hasattr(self.reader, "bounds"):
            reader.bounds = self.reader.bounds  # type: ignore[attr-defined]
            reader.largest = self.reader.largest
        values = None
        if page.values is not None:
            values = page.values[start - page.start : start - page.start + count]
        cut = replace(page, start=start, count=count, values=values)
        return await reader.read(self.bench.files, self.bench.store, cut, start, count)


def tiny(reader: Any, bounds: Bounds = TINY) -> Any:
    """Return a reader cut into the smallest pieces."""
    reader.bounds = bounds
    return reader
