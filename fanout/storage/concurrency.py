"""A bounded number of requests at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(work: Callable[[T], Awaitable[R]], items: Iterable[T], limit: int) -> list[R]:
    """Return what `work` makes of each item, in order; the first error ends all of it.

    Args:
        work: Called with one item.
        items: What to work on.
        limit: How many at once.
    """
    # One task per slot, not per item: there may be a hundred thousand of them.
    waiting = iter(enumerate(items))
    done: dict[int, R] = {}

    async def slot() -> None:
        for position, item in waiting:
            done[position] = await work(item)

    slots = [asyncio.ensure_future(slot()) for _ in range(limit)]
    try:
        await asyncio.gather(*slots)
    finally:
        await _end(slots)
    return [done[position] for position in range(len(done))]


async def ahead(
    work: Callable[[T], Awaitable[R]], items: AsyncIterator[T], limit: int, *, ordered: bool = True
) -> AsyncGenerator[R, None]:
    """Yield what `work` makes of each item, while it works on the next ones.

    Args:
        work: Called with one item.
        items: What to work on; taken as they are needed.
        limit: How many at once.
        ordered: Whether to keep the items' order; else whatever is ready comes first.
    """
    running: deque[asyncio.Future[R]] = deque()
    try:
        async for item in items:
            running.append(asyncio.ensure_future(work(item)))
            if len(running) >= limit:
                yield await _next(running, ordered)
        while running:
            yield await _next(running, ordered)
    finally:
        await _end(running)


async def _next(running: deque[asyncio.Future[R]], ordered: bool) -> R:
    if ordered:
        ready = running[0]
    else:
        finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        ready = next(future for future in running if future in finished)
    result = await ready
    running.remove(ready)
    return result


async def _end(futures: Iterable[asyncio.Future[R]]) -> None:
    waiting = [future for future in futures if not future.done()]
    for future in waiting:
        future.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
