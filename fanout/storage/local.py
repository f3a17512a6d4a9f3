"""A store in a local folder. Each operation is one hop to a thread."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from fanout.errors import FanoutError, ObjectMissing, StoreError, StoreUnavailable
from fanout.storage import roots
from fanout.storage.disk import MISSING, Disk
from fanout.storage.stores import Objects, Store

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16
# What stays so until somebody changes the machine; of all else another attempt may be luckier.
_FINAL = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
_ADVICE = {
    errno.ENOSPC: "free some space, or use another store",
    errno.EDQUOT: "free some space, or have the quota raised",
    errno.EACCES: "let the worker's user read and write there",
    errno.EPERM: "let the worker's user read and write there",
    errno.EROFS: "use a store that can be written",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (ulimit -n)",
}


class LocalStore(Store):
    """Objects as files below a folder."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._disk = Disk(str(roots.to_path(self.url)))

    async def create(self, path: str, data: bytes | Sequence[bytes]) -> None:
        """Create an object by writing and syncing a temporary file, and linking it to its name."""
        chunks = (data,) if isinstance(data, bytes) else data
        await self._hop("write", path, self._disk.create, roots.check_name(path), chunks)

    async def read(self, path: str) -> bytes:
        """Return a whole object."""
        return await self._hop("read", path, self._disk.read, roots.check_name(path))

    async def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to below `end`, as far as the object reaches."""
        if start < 0 or end < start:
            raise ValueError(f"{start} to {end} is no range")
        return await self._hop("read", path, self._disk.read_range, roots.check_name(path), start, end)

    async def list(self, prefix: str = "") -> Objects:
        """Return all objects in a folder and the folders below it, by path."""
        prefix = prefix.strip("/")
        if prefix:
            roots.check_name(prefix)
        return await self._hop("list", prefix, self._disk.list, prefix)

    async def folders(self) -> Sequence[str]:
        """Return the names of the folders directly below the store's own."""
        return await self._hop("list", "", self._disk.folders)

    async def modified(self, path: str) -> float:
        """Return when a file was created: it never changes."""
        return await self._hop("look at", path, self._disk.modified, roots.check_name(path))

    async def publish(self, sources: Sequence[str], target: str) -> None:
        """Link one source to the target, or write the concatenation of several."""
        for path in (*sources, target):
            roots.check_name(path)
        await self._hop("publish", target, self._disk.publish, sources, target)

    async def delete(self, *paths: str) -> None:
        """Delete objects; those that are missing are passed over."""
        for path in paths:
            roots.check_name(path)
        if paths:
            await self._hop("delete", paths[0], self._disk.delete, paths)

    async def exists(self, path: str) -> bool:
        """Say whether an object is there."""
        return await self._hop("look at", path, self._disk.exists, roots.check_name(path))

    async def tidy(self) -> None:
        """Remove temporary files that are older than any write can be."""
        await self._hop("tidy", "", self._disk.tidy)

    async def prune(self) -> None:
        """Remove empty folders, the store's own too, and its temporary files."""
        await self._hop("delete", "", self._disk.prune)

    async def _hop(
        self, verb: str, path: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def call() -> T:
            try:
                return function(*args, **kwargs)
            except FanoutError:
                raise
            except MISSING as error:
                raise ObjectMissing(f"{error.filename or path} does not exist") from error
            except OSError as error:
                raise _explained(error, verb, self._disk.file(path)) from error

        return await asyncio.get_running_loop().run_in_executor(_pool(), call)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="fanout-store")


# A forked child inherits the pool without its threads, and would wait for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)


def _explained(error: OSError, verb: str, where: str) -> StoreError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    advice = _ADVICE.get(error.errno or 0)
    kind = StoreError if error.errno in _FINAL else StoreUnavailable
    return kind(f"cannot {verb} {where}: {reason}" + (f"; {advice}" if advice else ""))
