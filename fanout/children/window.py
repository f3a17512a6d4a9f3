"""The sliding window over the items of one batch.

Items run in *slots*: a slot takes one item after the other, and the next slot is opened only when one has to wait.
So a million items that never wait cost one slot and no task, timer or semaphore each, while items that wait soon have
as many slots as the window allows. Stepping the user's coroutines by hand would be faster still, but breaks
`asyncio.timeout` and anyio inside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from operator import length_hint
from typing import Protocol

from fanout.children.book import HOLD_SECONDS, Book
from fanout.children.gate import Gate
from fanout.durations import Durations
from fanout.storage.records import Effort

TURN = 0.01
"""Seconds after which a batch that never waits lets the worker's event loop breathe."""

LONGEST_TICK = 0.25

LARGE = 1024
"""Bytes of an output above which it is counted: counting each would slow down the small ones."""


SPARE_SHARE = 4
"""A window gives up what it needs no more when that is one in so many of its slots: less is not worth the trouble …"""

TIMED_SLOTS = 100
"""Slots of a window whose items are timed: what many more would say is not worth recording."""

LEAST_SPARE = 10
"""… and one in so many of those that it began with: so it does not do so very often."""


class Slot(Protocol):
    """One place in the window: where an item runs now."""

    since: float
    """When the item was first seen waiting, by the loop's clock; 0 while it was not."""

    @property
    def positions(self) -> Sequence[int]:
        """The items that run in it."""


current_slot: contextvars.ContextVar[Slot] = contextvars.ContextVar("fanout_slot")
"""Set once per slot, not per item: where the code around a call asks which items it runs for."""


class Window(ABC):
    """Runs the items of a book, so many at a time, until each has an outcome or the window is stopped.

    Attributes:
        book: The items.
        most: Bytes of outputs that it may hold; the budget of the process lowers it.
        limit: Slots at most.
        width: Items that run in one slot.
        gate: Where items wait for the run's rate limit; None where it has none.
        durations: Mean seconds of the attempts in a slot, of the first slots that were opened.
    """

    book: Book
    most: int
    limit: int
    width: int = 1
    gate: Gate | None = None
    durations: Sequence[float] = ()

    @abstractmethod
    async def run(self) -> None:
        """Run the items; returns when nothing is in flight any more."""

    @abstractmethod
    def stop(self) -> None:
        """Begin no further item; what is in flight ends."""

    @abstractmethod
    async def halt(self) -> None:
        """Stop, and cut off what is in flight: those items stay without an outcome."""

    def guard(self) -> contextlib.AbstractContextManager[object]:
        """Return what keeps the book from changing meanwhile."""
        return contextlib.nullcontext()

    def give_up(self) -> int:
        """Give up what it may have in flight and will not need again; returns how many items."""
        return 0

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Items, or slots for them, that are in flight."""

    @property
    def begun(self) -> int:
        """Items that were begun so far, as far as this is known."""
        return 0

    def effort(self) -> Effort:
        """Return what the items took so far, as far as this is known."""
        return Effort()


class SlotWindow(Window):
    """A window of slots in this process.

    Args:
        book: The items.
        limit: Slots at most.
        deadline: Seconds after which no further item is begun.
        width: Items that run in one slot.
        gate: Where items wait until they may begin; None where they need not.
    """

    def __init__(
        self, book: Book, *, limit: int, deadline: float, width: int = 1, gate: Gate | None = None
    ) -> None:
        self.book = book
        self.gate = gate
        self.limit = self._largest = limit
        self.width = width
        self.stopping = False
        self._seconds = deadline
        self._fresh: Iterator[int] = iter(())
        self._source = self._fresh_and_due()
        self._exhausted = False
        self._retries: list[tuple[float, int]] = []
        self._error: BaseException | None = None
        self._open = self._idle = 0
        self._fresh_count = 0
        self._timed = 0
        self._offered = self._since = 0.0
        self._through: float | None = 0.0
        self.durations: list[float] = []
        self.took = Durations()
        self.most = book.options.max_batch_bytes

    async def run(self) -> None:
        """Run the items; returns when nothing is in flight any more."""
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._since, self._through = self._loop.time(), None
        deadline = self._since + self._seconds
        fresh = self._sorted_by_time()
        self._fresh, self._fresh_count = iter(fresh), len(fresh)
        self._start(self._source)
        while not self._finished():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause(deadline)):
                    await self._wake.wait()
            self._wake.clear()
            now = self._loop.time()
            if now >= deadline and not self._filling():
                self.stop()
            self._look_after(now)
            if self._next_due() <= now and self._open < self.limit and not self.stopping:
                self._start(self._due())
        self._through = self._loop.time()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Begin no further item; what is in flight ends."""
        self.stopping = True
        if self.gate is not None:
            self.gate.stop()

    @abstractmethod
    async def halt(self) -> None:
        """Stop, and cut off what is in flight: those items stay without an outcome."""

    def give_up(self) -> int:
        """See base class. Called now and then: what was free the last time as well is given up."""
        with self.guard():
            if self._queueing or not (self._exhausted or self.stopping):
                return 0
            # Each of those that wait for another attempt will need a slot.
            needed = self._open + (0 if self.stopping else len(self._retries))
            before, self._idle = self._idle, max(0, self.limit - needed)
            lasting = min(before, self._idle)
            if not needed or lasting < max(self.limit / SPARE_SHARE, self._largest / LEAST_SPARE):
                return 0
            self._offered = self._item_seconds()
            self._since = self._loop.time()
            self.limit -= lasting
            self._idle -= lasting
            return lasting * self.width

    @property
    def in_flight(self) -> int:
        """Slots that are open, but for those whose item waits for the rate limit."""
        return self._open - self._queueing

    @property
    def begun(self) -> int:
        """See base class. Those that another attempt waits for are not among them."""
        return self._fresh_count - length_hint(self._fresh)

    def effort(self) -> Effort:
        """See base class."""
        return Effort(
            attempts=self.took.classes, busy=round(self.took.busy, 6), offered=round(self._item_seconds(), 6)
        )

    # ---- for the kinds of windows

    @property
    def _queueing(self) -> int:
        """Slots whose item waits for the rate limit; while there are some, further slots would wait as well."""
        return 0 if self.gate is None else self.gate.waiting

    @abstractmethod
    def _start(self, source: Iterator[int]) -> None:
        """Open a slot that takes its items from `source`."""

    @abstractmethod
    def _look_after(self, now: float) -> None:
        """Time out what is overdue; open further slots where that is this window's way."""

    def _is_timed(self) -> bool:
        """Tell whether to time the items of a slot that is being opened."""
        # By their order, and not by who ends first: those would be the quick ones.
        self._timed += 1
        return self._timed <= TIMED_SLOTS

    def _tick(self) -> float:
        timeout = self.book.options.timeout
        return min(LONGEST_TICK, timeout / 10) if timeout else LONGEST_TICK

    def _weigh(self, size: int) -> None:
        """Count the bytes of a large output; when they are too many, what is not begun is handed back."""
        self.book.held += size
        if self.book.held >= self.most:
            self.stop()

    def _failed(self, position: int, error: BaseException) -> None:
        delay = self.book.fail(position, error)
        # One whose next attempt is far away is handed back with its attempts, and holds nothing up.
        if delay is not None and delay <= HOLD_SECONDS:
            heapq.heappush(self._retries, (self._loop.time() + delay, position))

    def _overdue(self, slot: Slot, now: float) -> bool:
        timeout = self.book.options.timeout
        if timeout is None:
            return False
        if slot.since == 0.0:
            slot.since = now
        return now - slot.since >= timeout

    def _fresh_and_due(self) -> Iterator[int]:
        for position in self._fresh:
            if self._retries:
                yield from self._due()
            if self.stopping:
                return
            yield position
        self._exhausted = True
        yield from self._due()

    def _due(self) -> Iterator[int]:
        while not self.stopping and self._next_due() <= self._loop.time():
            yield heapq.heappop(self._retries)[1]

    # ---- private

    def _item_seconds(self) -> float:
        """Return the item-seconds that could have been in flight so far."""
        now = self._through if self._through is not None else self._loop.time()
        return self._offered + (now - self._since) * self.limit * self.width

    def _sorted_by_time(self) -> Sequence[int]:
        """Return what may run at once; what waits for a retry is left to its time, or to be handed back."""
        if not self.book.due:
            return self.book.unsettled()
        fresh, due, now = [], self.book.due, time.time()
        for position in self.book.unsettled():
            wait = due.get(position, 0.0) - now
            if wait <= 0:
                fresh.append(position)
            elif wait <= HOLD_SECONDS:
                heapq.heappush(self._retries, (self._loop.time() + wait, position))
        return fresh

    def _filling(self) -> bool:
        """Tell whether most items that began are in flight, and more can begin: to hand those back gains nothing."""
        begun = self.begun
        return begun < self.limit and begun <= 2 * self._open and not self._queueing

    def _finished(self) -> bool:
        if self._open:
            return False
        return self.stopping or self._error is not None or (self._exhausted and not self._retries)

    def _pause(self, deadline: float) -> float:
        now = self._loop.time()
        until = self._next_due() if self._open < self.limit and not self.stopping else math.inf
        if now < deadline:
            until = min(until, deadline)
        return max(0.0, min(self._tick(), until - now))

    def _next_due(self) -> float:
        try:
            return self._retries[0][0]
        except IndexError:  # empty, or a slot's thread took the last one meanwhile
            return math.inf
