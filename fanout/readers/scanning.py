"""Planning of text files: a page is scanned once, in chunks, and leaves marks behind."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace

from fanout.errors import SourceError
from fanout.pages import Json
from fanout.readers.index import FileMarks, Marks
from fanout.readers.scanner import THREAD_BYTES, Beginning, Format
from fanout.storage import roots
from fanout.storage.files import Files, SourceFile, is_glob


@dataclass(frozen=True)
class Position:
    """Where the next page begins; as a dict it is the cursor.

    Attributes:
        item: Index of the next item.
        pattern: Number of the pattern in work.
        after: The last file of the pattern that is done.
        file: The file in work as url, size and version; None between files.
        offset: Where to go on in that file.
        line: Number of the line there.
        header: Columns of that file.
        seen: Bytes scanned so far.
        size: Estimated bytes of the whole source; 0 until known.
    """

    item: int = 0
    pattern: int = 0
    after: str | None = None
    file: tuple[str, int, str] | None = None
    offset: int = 0
    line: int = 1
    header: list[str] = field(default_factory=list)
    seen: int = 0
    size: int = 0

    @classmethod
    def parse(cls, cursor: dict[str, Json] | None) -> Position:
        """Read a cursor."""
        if cursor is None:
            return cls()
        file = cursor.get("file")
        return cls(**{**cursor, "file": tuple(file) if file else None})

    def cursor(self) -> dict[str, Json]:
        """Return what `parse` reads."""
        return {**asdict(self), "file": list(self.file) if self.file else None}


class PageScan:
    """The scan of one page.

    Args:
        form: The format of the files.
        files: Reads them.
        position: Where the page begins.
        limit: How many items it may have; None for no bound.

    Attributes:
        position: Where the page ends.
        exhausted: Whether nothing follows.
        entries: The files with items, and their marks.
        size: Bytes of the source in the page.
    """

    def __init__(self, form: Format, files: Files, position: Position, limit: int | None) -> None:
        self.position = position
        self.exhausted = False
        self.entries: list[FileMarks] = []
        self.size = 0
        self._form = form
        self._files = files
        self._stop = sys.maxsize if limit is None else position.item + limit
        self._seen_files = 0
        self._work = 0
        # Files found and not yet scanned, and where to look for more.
        self._queue: deque[tuple[int, SourceFile]] = deque()
        self._pattern = position.pattern
        self._after = position.after

    async def run(self) -> None:
        """Scan until the page is full or the source exhausted."""
        if self.position.file is not None:
            file = SourceFile(*self.position.file)
            self._after = file.url
            await self._scan(self.position.pattern, file, await self._head(file, self.position.offset))
        while not self._full():
            group = await self._next_files()
            if not group:
                self.exhausted = True
                break
            end = self._form.bounds.chunk
            heads = await self._files.read_all([(file, 0, min(file.size, end)) for _, file in group])
            for number, head in enumerate(heads):
                if self._full():
                    self._queue.extendleft(reversed(group[number:]))
                    break
                await self._scan(*group[number], head)
        await self._look_ahead()

    async def _look_ahead(self) -> None:
        """Notice that nothing follows a page that ends with the source, where that takes no listing."""
        patterns = self._form.patterns
        if self.exhausted or self.position.file is not None or self._queue:
            return
        if self._pattern == len(patterns) or not is_glob(patterns[self._pattern]):
            await self._find()
            self.exhausted = not self._queue

    async def estimate(self) -> int:
        """Return about how many items the whole source has."""
        at = self.position
        if self.exhausted or at.seen == 0:
            return at.item
        if at.size == 0:
            at = self.position = replace(at, size=max(at.seen, await self._whole_size()))
        return at.item + round(at.item / at.seen * max(0, at.size - at.seen))

    def _full(self) -> bool:
        bounds = self._form.bounds
        return (
            self.position.item >= self._stop
            or self._work >= bounds.page_bytes
            or self._seen_files >= bounds.page_files
        )

    # ----------------------------------------------------------------------------------------- files

    async def _next_files(self) -> list[tuple[int, SourceFile]]:
        """Return some files that are read together: one, or many that are small."""
        if not self._queue:
            await self._find()
        group: list[tuple[int, SourceFile]] = []
        size = 0
        while self._queue and len(group) < 256:
            size += self._queue[0][1].size
            if group and size > self._form.bounds.chunk:
                break
            group.append(self._queue.popleft())
        return group

    async def _find(self) -> None:
        patterns = self._form.patterns
        limit = self._form.bounds.page_files
        while not self._queue and self._pattern < len(patterns):
            first = self._pattern
            if is_glob(patterns[first]):
                found = await self._files.list(patterns[first], after=self._after, limit=limit)
                self._queue.extend((first, file) for file in found)
                self._after = found[-1].url if found else None
                self._pattern += not found
                continue
            # Plain names one by one would cost a request each, one after the other.
            last = first + 1
            while last < min(len(patterns), first + 64) and not is_glob(patterns[last]):
                last += 1
            lists = await asyncio.gather(
                *(
                    self._files.list(patterns[number], after=self._after if number == first else None)
                    for number in range(first, last)
                )
            )
            self._queue.extend((first + number, file) for number, one in enumerate(lists) for file in one)
            self._pattern, self._after = last, None

    async def _whole_size(self) -> int:
        patterns = self._form.patterns[:64]
        lists = await asyncio.gather(*(self._files.list(pattern) for pattern in patterns))
        return sum(file.size for one in lists for file in one)

    # ------------------------------------------------------------------------------------------ bytes

    async def _head(self, file: SourceFile, offset: int) -> bytes:
        return await self._files.read(file, offset, min(file.size, offset + self._form.bounds.chunk))

    async def _scan(self, pattern: int, file: SourceFile, head: bytes) -> None:
        at = self.position
        if at.file is not None:
            begun, start = Beginning(at.offset, at.line, at.header), at.offset
        else:
            start = 0
            while (known := self._form.begin(head, file, len(head) == file.size)) is None:
                head = await self._files.read(file, 0, min(file.size, max(64, 2 * len(head))))
            begun = known
        marks = Marks([at.item], [begun.offset], [begun.line])
        scanner = self._form.scanner(marks, self._stop, begun.header)
        async with aclosing(self._chunks(file, head, start)) as chunks:
            async for data, last in chunks:
                body = data[begun.offset - start :] if data is head else data
                try:
                    if len(body) < THREAD_BYTES:
                        scanner.feed(body, last)
                    else:
                        await asyncio.to_thread(scanner.feed, body, last)
                except SourceError as error:
                    raise SourceError(f"{roots.display(file.url)}: {error}") from None
                self._work += len(data) + scanner.effort
                scanner.effort = 0
                if scanner.full or (self._full() and scanner.offset > begun.offset):
                    break
        scanner.mark()
        if scanner.item > at.item:
            self.entries.append(FileMarks(file, marks, begun.header))
        self.size += scanner.offset - start
        self._seen_files += 1
        done = scanner.offset >= file.size
        self.position = replace(
            at,
            item=scanner.item,
            pattern=pattern,
            after=file.url if done else at.after if pattern == at.pattern else None,
            file=None if done else (file.url, file.size, file.version),
            offset=0 if done else scanner.offset,
            line=1 if done else scanner.line,
            header=[] if done else begun.header,
            seen=at.seen + scanner.offset - start,
        )

    async def _chunks(
        self, file: SourceFile, head: bytes, start: int
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Yield the chunks of a file, while the next ones are on their way."""
        chunk = self._form.bounds.chunk
        at = start + len(head)
        coming: deque[asyncio.Task[bytes]] = deque()
        # One stream from an object store is slow; the disk gains nothing from several.
        ahead = 1 if file.url.startswith("file://") else 4
        data = head
        try:
            while True:
                while at < file.size and len(coming) < ahead:
                    end = min(file.size, at + chunk)
                    coming.append(asyncio.create_task(self._files.read(file, at, end)))
                    at = end
                yield data, not coming
                if not coming:
                    return
                data = await coming.popleft()
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)
