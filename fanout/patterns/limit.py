"""How much may be in flight at once, changeable at any time."""

from __future__ import annotations

import asyncio
from collections import deque


class Limit:
    """A bound on what is in flight, that a signal or update handler may change at any time.

    Give it to a pattern as `max_concurrency`. Given to several, it bounds what they have in flight together, and they
    take turns. A smaller bound cuts nothing off: nothing new begins until enough has ended.

        def __init__(self) -> None:
            self.limit = patterns.Limit(20)

        @workflow.signal
        def slow_down(self, at_most: int) -> None:
            self.limit.max_concurrency = at_most

    Args:
        max_concurrency: Items in flight at once; 0, or anything below, holds up what has not begun.
    """

    def __init__(self, max_concurrency: int) -> None:
        self._bound = max(0, max_concurrency)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def max_concurrency(self) -> int:
        """Items that may be in flight at once."""
        return self._bound

    @max_concurrency.setter
    def max_concurrency(self, bound: int) -> None:
        self._bound = max(0, bound)
        self._admit()

    @property
    def in_flight(self) -> int:
        """Items in flight just now, of all that share the limit."""
        return self._in_flight

    async def acquire(self) -> None:
        """Wait for a place, and take it. Places are given in the order in which they were asked for."""
        if self._in_flight < self._bound and all(turn.cancelled() for turn in self._waiting):
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The place was given in the same moment.
                self.release()
            raise

    def release(self) -> None:
        """Give a place back."""
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self._bound:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._in_flight += 1
                turn.set_result(None)
