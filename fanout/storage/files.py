"""Source files: found by path or glob, read by ranges, and never read in another version than was planned."""

from __future__ import annotations

import asyncio
import heapq
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from fanout.errors import SourceError
from fanout.storage import remotefiles, roots
from fanout.storage.globs import Glob, walk
from fanout.storage.roots import Roots
from fanout.storage.sourcefile import SourceFile, Unreachable, changed, explain, folder

__all__ = ["LIST_LIMIT", "Files", "SourceFile", "Unreachable", "is_glob"]

LIST_LIMIT = 10_000
CONCURRENCY = 32
"""Requests to an object store at once, of one call."""

# Inside the class, `list` is its method.
SourceFiles: TypeAlias = list[SourceFile]
Chunks: TypeAlias = list[bytes]


class Files:
    """Reads source files under the allowed roots.

    Args:
        roots: What may be read. None: anything, for a person's own process only, never on a worker.
    """

    def __init__(self, roots: Roots | None) -> None:
        self._roots = roots

    async def list(
        self, pattern_url: str, *, after: str | None = None, limit: int = LIST_LIMIT
    ) -> SourceFiles:
        """Return the files that a URL or glob names, by name.

        Args:
            pattern_url: URL of a file, or a glob: `*`, `?` and `[…]` match inside the name of a folder or file, `**`
                any number of folders. A local file of exactly that name is taken as it is.
            after: Only files after this one, the last one of an earlier call.
            limit: How many files at most. The list is complete once a call returns none.

        Raises:
            SourceError: There is no such file, it is a folder, or nothing matches.
            NotAllowed: A file lies outside the allowed roots.
        """
        if _is_local(pattern_url):
            return await asyncio.to_thread(self._list_local, pattern_url, after, limit)
        return await remotefiles.find(self._check(pattern_url), after, limit)

    async def read(self, file: SourceFile, start: int, end: int) -> bytes:
        """Return the bytes of a file from `start` to below `end`.

        Raises:
            SourceError: The file is gone, or is not the one that was planned.
            NotAllowed: It lies outside the allowed roots.
        """
        return (await self.read_all([(file, start, end)]))[0]

    async def read_all(self, ranges: Sequence[tuple[SourceFile, int, int]]) -> Chunks:
        """Return many ranges, in order; cheaper than one by one where the files are small.

        Raises:
            SourceError: A file is gone, or is not the one that was planned.
            NotAllowed: One lies outside the allowed roots.
        """
        if all(_is_local(file.url) for file, _, _ in ranges):
            return await asyncio.to_thread(lambda: [self._read_local(*one) for one in ranges])
        slots = asyncio.Semaphore(CONCURRENCY)

        async def one(file: SourceFile, start: int, end: int) -> bytes:
            async with slots:
                if _is_local(file.url):
                    return await asyncio.to_thread(self._read_local, file, start, end)
                return await remotefiles.read(file, self._check(file.url), start, end)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*part)) for part in ranges]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    def _check(self, url: str) -> str:
        return self._roots.check(url) if self._roots is not None else url

    def _list_local(self, pattern_url: str, after: str | None, limit: int) -> SourceFiles:
        path = roots.to_path(pattern_url)
        glob = Glob.parse(str(path))
        if glob is None or path.is_file():
            return [] if after is not None else [self._stat(pattern_url)]
        self._check(roots.to_url(glob.folder))
        floor = str(roots.to_path(after)) if after is not None else ""
        # Sorted by path, not by URL: encoding them all would cost more than listing them.
        try:
            names = heapq.nsmallest(limit, (found for found in walk(glob) if found > floor))
        except OSError as error:
            raise explain(error, roots.to_url(glob.folder)) from None
        if not names and after is None:
            raise SourceError(f"no file matches {roots.display(pattern_url)}")
        return [self._stat(roots.to_url(Path(name))) for name in names]

    def _stat(self, url: str) -> SourceFile:
        path = roots.to_path(self._check(url))
        try:
            found = path.stat()
        except OSError as error:
            raise explain(error, url) from None
        if stat.S_ISDIR(found.st_mode):
            raise folder(url)
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{roots.display(url)} is not a regular file")
        return SourceFile(url, found.st_size, _version(found))

    def _read_local(self, file: SourceFile, start: int, end: int) -> bytes:
        path = roots.to_path(self._check(file.url))
        try:
            with path.open("rb", buffering=0) as opened:
                opened.seek(start)
                data = _read_fully(opened.fileno(), end - start)
                # Afterwards, so that a change during the read is seen as well.
                found = os.fstat(opened.fileno())
        except OSError as error:
            raise explain(error, file.url) from None
        if _version(found) != file.version or len(data) < end - start:
            raise changed(file)
        return data


def is_glob(url: str) -> bool:
    """Say whether a URL may name several files."""
    glob = Glob.parse(str(roots.to_path(url))) if _is_local(url) else remotefiles.glob_of(url)
    return glob is not None


def _is_local(url: str) -> bool:
    return url.startswith("file://")


def _read_fully(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size) if size > 0 else b""
    if len(data) >= size:
        return data
    # One read returns 2 GiB at most, and less on some file systems.
    parts = [data]
    missing = size - len(data)
    while missing > 0 and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _version(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}"
