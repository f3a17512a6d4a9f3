"""Waiting for conditions, so that no test sleeps for a time that someone guessed."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[object] | object], *, within: float = 20.0) -> None:
    """Return as soon as the condition holds, or what it returns once awaited; fail after so many seconds."""
    deadline = time.monotonic() + within
    while not (await held if inspect.isawaitable(held := condition()) else held):
        assert time.monotonic() < deadline, f"{condition} does not hold after {within:g} s"
        await asyncio.sleep(0.02)
