"""The window for `def` processors: slots are threads of the worker's pool."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pydantic_core import PydanticSerializationError

from fanout.children.accounts import timed_out, unserializable
from fanout.children.async_window import settle_list, take_list
from fanout.children.book import Book
from fanout.children.gate import Gate
from fanout.children.window import LARGE, LONGEST_TICK, SlotWindow, current_slot
from fanout.counting import current as counting
from fanout.iteminfo import Info, current
from fanout.workers.threads import Threads

FIRST_TICK = 0.001
QUICK = 5000
"""Items a slot ends in a second that make a further thread useless: it would only fight for the interpreter."""


class _Slot:
    __slots__ = (
        "abandoned", "begun", "book", "counted", "ended", "position", "positions", "since", "started", "timed",
    )  # fmt: skip

    def __init__(self, book: Book, *, timed: bool) -> None:
        self.book = book
        self.timed = timed
        self.started = 0.0
        self.ended = 0
        self.position = self.counted = -1
        self.positions: list[int] = []
        self.since = 0.0
        self.begun = False
        self.abandoned = False

    def info(self) -> Info:
        return self.book.info(self.position)

    def count(self, name: str, value: float) -> None:
        self.book.tally.add(self, name, value)


class ThreadWindow(SlotWindow):
    """Slots are threads: each takes one item after the other, without going through the event loop.

    A thread cannot be ended from outside: one whose item is timed out is abandoned, and its late outcome ignored.

    Args:
        book: The items.
        call: Runs the processor on one item, or on a list of them where `list_size` is given.
        limit: Items in flight at most.
        deadline: Seconds after which no further item is begun.
        context: What the processor's code sees as its context.
        pool: The worker's threads.
        list_size: Items that one call takes; None for one at a time.
        gate: Where items wait until they may begin; None where they need not.
    """

    def __init__(
        self,
        book: Book,
        call: Callable[[Any], Any],
        *,
        limit: int,
        deadline: float,
        context: contextvars.Context,
        pool: Threads,
        list_size: int | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._list_size = None if list_size is None else min(list_size, limit)
        width = self._list_size or 1
        super().__init__(book, limit=limit // width, deadline=deadline, width=width, gate=gate)
        self._call = call
        self._context = context
        self._pool = pool
        self._slots: set[_Slot] = set()
        self._lock = threading.Lock()
        self._pace = FIRST_TICK
        self._ended = 0
        self._seen = 0
        self._looked = 0.0

    async def halt(self) -> None:
        """See base class."""
        self.stop()
        with self._lock:
            for slot in list(self._slots):
                self._abandon(slot)

    def guard(self) -> threading.Lock:
        """See base class."""
        return self._lock

    def _start(self, source: Iterator[int]) -> None:
        slot = _Slot(self.book, timed=self._is_timed())
        with self._lock:
            self._slots.add(slot)
            self._open += 1
        self._pool.submit(self._context.copy().run, self._work, slot, source)

    def _tick(self) -> float:
        return min(super()._tick(), self._pace)

    def _look_after(self, now: float) -> None:
        with self._lock:
            overdue = [s for s in self._slots if s.positions and self._overdue(s, now)]
            for slot in overdue:
                self._abandon(slot)
                error = timed_out(self.book.options.timeout)
                settle_list(self.book, slot.positions, error, self._failed, self._weigh)
                self.took.add(self.book.options.timeout or 0.0, len(slot.positions))
            if self.stopping:
                # Where threads hang, one may wait for ever to begin.
                for slot in [s for s in self._slots if not s.begun]:
                    self._close(slot)
            ended, self._seen = self._ended - self._seen, self._ended
            elapsed = now - self._looked if self._looked else FIRST_TICK
            self._looked = now
            room = min(max(self._open, 1), self.limit - self._open)
        self._pace = min(2 * self._pace, LONGEST_TICK)
        if self.stopping or self._exhausted or self._queueing:
            return
        if overdue or ended < QUICK * self._open * elapsed:
            for _ in range(room):
                self._start(self._source)

    def _abandon(self, slot: _Slot) -> None:
        """Go on without the slot: its thread cannot be ended from outside."""
        if slot.positions:
            self._pool.lose(self.book.processor.name)
        self._close(slot)

    def _close(self, slot: _Slot) -> None:
        slot.abandoned = True
        self._slots.discard(slot)
        self._open -= 1

    # ---- in the threads

    def _work(self, slot: _Slot, source: Iterator[int]) -> None:
        current.set(slot.info)
        counting.set(slot.count)
        current_slot.set(slot)
        slot.started = time.monotonic()
        with self._lock:
            slot.begun = not slot.abandoned
        if not slot.begun:
            return
        try:
            step = self._one if self._list_size is None else self._list
            while step(slot, source):
                pass
        except BaseException as error:
            self._error = error
            self.stop()
        finally:
            with self._lock:
                if not slot.abandoned:
                    if slot.timed and slot.ended:
                        self.durations.append((time.monotonic() - slot.started) / slot.ended)
                    self._close(slot)
                elif slot.positions:
                    self._pool.regain(self.book.processor.name)
            # A thread that was abandoned may outlive the worker's loop.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    def _one(self, slot: _Slot, source: Iterator[int]) -> bool:
        """Run one item; returns whether there may be another for this slot."""
        book = self.book
        with self._lock:
            position = next(source, None)
            if position is None:
                return False
            try:
                item = book.validate(book.given[position])
            except Exception as error:
                book.reject(position, error)
                return True
            self._begin(slot, [position])
        if not self._let_in(slot):
            return False
        began = time.monotonic()
        failure: BaseException | None = None
        row = b""
        try:
            output = self._call(item)
            try:
                row = book.dump(output, warnings=False)
            except PydanticSerializationError as error:
                failure = unserializable(output, error)
        except BaseException as error:
            failure = error
        seconds = time.monotonic() - began
        with self._lock:
            if slot.abandoned:
                return False
            self._end(slot, seconds)
            if failure is None:
                book.outputs[position] = row
                if len(row) > LARGE:
                    self._weigh(len(row))
            else:
                self._failed(position, failure)
        return True

    def _list(self, slot: _Slot, source: Iterator[int]) -> bool:
        """Run one list; returns whether there may be another for this slot."""
        with self._lock:
            positions, items = take_list(self.book, source, self._list_size or 1)
            if not positions:
                return False
            self._begin(slot, positions)
        if not self._let_in(slot):
            return False
        began = time.monotonic()
        outcome: Any
        try:
            outcome = self._call(items)
        except BaseException as error:
            outcome = error
        seconds = time.monotonic() - began
        with self._lock:
            if slot.abandoned:
                return False
            self._end(slot, seconds)
            settle_list(self.book, positions, outcome, self._failed, self._weigh)
        return True

    def _begin(self, slot: _Slot, positions: list[int]) -> None:
        slot.position = positions[0]
        slot.positions = positions
        slot.since = 0.0

    def _let_in(self, slot: _Slot) -> bool:
        """Wait until the items of a slot may begin; returns whether they may. Nobody else has them meanwhile."""
        if self.gate is None:
            return True
        with self._lock:
            positions, slot.positions = slot.positions, []
        let_in = self.gate.through_in_thread(len(positions))
        with self._lock:
            if not let_in or slot.abandoned:
                return False
            self._begin(slot, positions)
        return True

    def _end(self, slot: _Slot, seconds: float) -> None:
        items = len(slot.positions)
        slot.positions = []
        slot.ended += 1
        self._ended += items
        self.took.add(seconds, items)
