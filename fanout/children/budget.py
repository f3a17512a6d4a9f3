"""How many bytes of items and results a worker process holds at once, over all of its batches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

MIB = 1024 * 1024
INFLIGHT_BYTES = 256 * MIB


class Holder(Protocol):
    """A window over the items of one batch."""

    most: int
    """Bytes of outputs that it may hold; a batch that holds as many ends early, and hands its rest back."""


class Budget:
    """Bounds the bytes that batches hold: half of them for what they have read, half for outputs not yet written.

    What the items in flight hold themselves comes on top: their number times their size.

    Args:
        limit: Bytes over all batches of the process.
    """

    def __init__(self, limit: int = INFLIGHT_BYTES) -> None:
        self._half = max(1, limit // 2)
        self._taken = 0
        self._room = asyncio.Condition()
        self._live: dict[Holder, int] = {}

    @contextlib.asynccontextmanager
    async def reading(self, size: int) -> AsyncIterator[None]:
        """Wait until there is room for what a batch reads, all of it at once: bit by bit, batches would lock up.

        Args:
            size: Bytes. A batch larger than all the room there is waits to be alone.
        """
        async with self._room:
            await self._room.wait_for(lambda: not self._taken or self._taken + size <= self._half)
            self._taken += size
        try:
            yield
        finally:
            self._taken -= size
            async with self._room:
                self._room.notify_all()

    @contextlib.contextmanager
    def holding(self, holder: Holder, most: int) -> Iterator[None]:
        """Give a batch its share of the room for outputs, as long as the block lasts.

        Args:
            holder: Its window.
            most: Bytes that it wants at most.
        """
        self._live[holder] = most
        self._share()
        try:
            yield
        finally:
            del self._live[holder]
            self._share()

    def _share(self) -> None:
        for holder, most in self._live.items():
            holder.most = min(most, self._half // len(self._live))
