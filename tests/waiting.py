"""Waiting for conditions, so that no test sleeps for a time that someone guessed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], object], *, within: float = 20.0) -> None:
    """Return as soon as the condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{condition} does not hold after {within:g} s"
        await asyncio.sleep(0.02)
