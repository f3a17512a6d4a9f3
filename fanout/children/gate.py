"""Where items wait until the rate limit of their run lets them begin.

Each batch may begin as many items a second as its share of the run's concurrency is worth. The batches of a run that
share a worker process share what they may: what one of them leaves unused the others use.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from fanout.children.meter import Meter

LONGEST_PAUSE = 0.25
"""Seconds between two looks of those who wait: whether they are still wanted, or the rate has changed."""


class NotBegun(Exception):
    """An item was not let in: it is handed back, and this counts as no attempt."""


class Gates:
    """The gates of the batches of one worker process."""

    def __init__(self) -> None:
        self._pools: dict[str, _Pool] = {}

    @contextlib.contextmanager
    def opened(self, run: str, rate: float, concurrency: int, *, least: int = 1) -> Iterator[Gate]:
        """Let the items of a batch begin as long as the block lasts.

        Args:
            run: Nonce of its run.
            rate: Items that may begin in a second, for each of its items in flight.
            concurrency: Items in flight of the batch.
            least: Items of one call.
        """
        # What is still to be made up for stays.
        self._pools = {nonce: pool for nonce, pool in self._pools.items() if not pool.idle}
        pool = self._pools.setdefault(run, _Pool(least))
        gate = Gate(pool, rate, concurrency)
        try:
            yield gate
        finally:
            gate.retire()


class Gate:
    """Lets the items of one batch begin. All but `closed` and `give_up` may be used in any thread.

    Args:
        pool: What the batches of the run in this process may do together.
        rate: Items that may begin in a second, for each item in flight.
        concurrency: Items in flight of the batch.

    Attributes:
        waiting: How many wait here just now.
    """

    def __init__(self, pool: _Pool, rate: float, concurrency: int) -> None:
        self._pool = pool
        self._rate = rate
        self._concurrency = concurrency
        self._stopped = threading.Event()
        self.waiting = 0
        pool.share(self, rate * concurrency)

    @classmethod
    def alone(cls, rate: float, *, least: int = 1) -> Gate:
        """Return a gate that shares with nobody, and owes nothing when it is left: it begins with nothing to spend."""
        pool = _Pool(least)
        gate = cls(pool, rate, 1)
        pool.fill()
        return gate

    async def through(self, count: int = 1) -> bool:
        """Wait until so many items may begin; returns whether they may: not where the gate was stopped."""
        with self._queueing(count) as pause:
            while (seconds := pause()) > 0:  # noqa: ASYNC110 - time is what it waits for
                await asyncio.sleep(seconds)
        return seconds == 0.0

    def through_in_thread(self, count: int = 1) -> bool:
        """Do the same in a thread."""
        with self._queueing(count) as pause:
            while (seconds := pause()) > 0:
                self._stopped.wait(seconds)
        return seconds == 0.0

    def stop(self) -> None:
        """Let nobody in any more."""
        self._stopped.set()

    def retire(self) -> None:
        """Let nobody use the batch's share any more, once what it has begun is made up for."""
        self._concurrency = 0
        self._pool.share(self, 0.0)

    async def give_up(self, count: int) -> None:
        """Use so much less, as the batch has fewer items in flight from now on; returns when that holds."""
        self._concurrency = max(0, self._concurrency - count)
        self._pool.share(self, self._rate * self._concurrency)
        await self._settled(lambda: False)

    async def closed(self, hurry: Callable[[], bool]) -> None:
        """Retire; returns when others may have the share, or `hurry` says that it has to be now."""
        self.retire()
        await self._settled(hurry)

    # ---- private

    async def _settled(self, hurry: Callable[[], bool]) -> None:
        while (seconds := self._pool.left_to_pay()) > 0 and not hurry():  # noqa: ASYNC110 - likewise
            await asyncio.sleep(min(seconds, LONGEST_PAUSE))

    @contextlib.contextmanager
    def _queueing(self, count: int) -> Iterator[Callable[[], float]]:
        """Stand in the queue; yields what tells how long to pause, 0 for no longer, and -1 where nobody is let in."""
        pool = self._pool
        place, waiting, seconds = pool.queue(count), False, -1.0

        def pause() -> float:
            nonlocal seconds, waiting
            seconds = -1.0 if self._stopped.is_set() else min(pool.wait(place, count), LONGEST_PAUSE)
            if seconds > 0 and not waiting:
                waiting = True
                self._count(1)
            return seconds

        try:
            yield pause
        finally:
            if seconds != 0.0:
                pool.leave(place, count)
            if waiting:
                self._count(-1)

    def _count(self, change: int) -> None:
        with self._pool.lock:
            self.waiting += change


class _Pool:
    """What the batches of one run in this process may do together.

    Args:
        least: Items of one call.
    """

    def __init__(self, least: int) -> None:
        self.lock = threading.Lock()
        self._meter = Meter(time.monotonic(), least=least)
        self._shares: dict[Gate, float] = {}

    @property
    def idle(self) -> bool:
        """Whether there is nobody, and nothing to be made up for."""
        with self.lock:
            return not self._shares and not self._meter.left_to_pay(time.monotonic())

    def share(self, gate: Gate, rate: float) -> None:
        """Note what a batch adds."""
        with self.lock:
            if rate:
                self._shares[gate] = rate
            else:
                self._shares.pop(gate, None)
            self._meter.change(sum(self._shares.values()), time.monotonic())

    def fill(self) -> None:
        with self.lock:
            self._meter.fill()

    def left_to_pay(self) -> float:
        with self.lock:
            return self._meter.left_to_pay(time.monotonic())

    def queue(self, count: int) -> float:
        with self.lock:
            return self._meter.queue(count, time.monotonic())

    def wait(self, place: float, count: int) -> float:
        with self.lock:
            return self._meter.wait(place, count, time.monotonic())

    def leave(self, place: float, count: int) -> None:
        with self.lock:
            self._meter.leave(place, count, time.monotonic())
