"""A store whose requests go wrong where a test says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fanout.storage.stores import Objects, Store

T = TypeVar("T")

Hook = Callable[[str, str], Awaitable[None] | None]


class Died(BaseException):
    """Stands for a process that is killed: no handler of errors runs its course."""


class FaultyStore(Store):
    """Passes everything on to another store, and calls `before` and `after` with the operation and its path."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner.url)
        self.inner = inner
        self.before: Hook = _nothing
        self.after: Hook = _nothing
        self.operations: list[tuple[str, str]] = []

    async def create(self, path: str, data: bytes | Sequence[bytes]) -> None:
        await self._pass("create", path, lambda: self.inner.create(path, data))

    async def read(self, path: str) -> bytes:
        return await self._pass("read", path, lambda: self.inner.read(path))

    async def read_range(self, path: str, start: int, end: int) -> bytes:
        return await self._pass("read_range", path, lambda: self.inner.read_range(path, start, end))

    async def list(self, prefix: str = "") -> Objects:
        return await self._pass("list", prefix, lambda: self.inner.list(prefix))

    async def folders(self) -> Sequence[str]:
        return await self._pass("folders", "", self.inner.folders)

    async def modified(self, path: str) -> float:
        return await self._pass("modified", path, lambda: self.inner.modified(path))

    async def publish(self, sources: Sequence[str], target: str) -> None:
        await self._pass("publish", target, lambda: self.inner.publish(sources, target))

    async def delete(self, *paths: str) -> None:
        await self._pass("delete", paths[0] if paths else "", lambda: self.inner.delete(*paths))

    async def exists(self, path: str) -> bool:
        return await self._pass("exists", path, lambda: self.inner.exists(path))

    async def _pass(self, operation: str, path: str, call: Callable[[], Awaitable[T]]) -> T:
        self.operations.append((operation, path))
        await _run(self.before, operation, path)
        result = await call()
        await _run(self.after, operation, path)
        return result


def dies_at(step: int) -> Hook:
    """Return a hook that kills the process at its nth operation, from 0."""
    left = iter(range(step, -1, -1))

    def hook(operation: str, path: str) -> None:
        if next(left, None) == 0:
            raise Died

    return hook


def _nothing(operation: str, path: str) -> None:
    return None


async def _run(hook: Hook, operation: str, path: str) -> None:
    waiting = hook(operation, path)
    if waiting is not None:
        await waiting
