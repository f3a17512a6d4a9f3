"""A processor that the test holds in the middle."""

from __future__ import annotations

import asyncio


class Gate:
    """Lets items below a number through, and holds the others."""

    def __init__(self, below: int) -> None:
        self.below = below
        self.held: set[int] = set()
        self.ended: set[int] = set()
        self.open = asyncio.Event()

    async def __call__(self, number: int) -> int:
        if number >= self.below:
            self.held.add(number)
            await self.open.wait()
        self.ended.add(number)
        return number
