"""The window for `async def` processors, and for functions that run in other processes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from typing import Any, cast

from pydantic_core import PydanticSerializationError

from fanout.children.accounts import WrongOutputs, timed_out, unserializable
from fanout.children.book import Book
from fanout.children.gate import Gate, NotBegun
from fanout.children.window import LARGE, TURN, SlotWindow, current_slot
from fanout.counting import current as counting
from fanout.iteminfo import Info, current

CANCEL_AGAIN = 2.0
"""Seconds that an item has to clean up after its cancellation, before it is cancelled again."""

LOOKS = 40
"""Looks at all slots within a timeout: where half a million items wait, one takes a tenth of a second."""

END_OF_ALL = (KeyboardInterrupt, GeneratorExit)
"""What says nothing of the item: the process is interrupted, or its event loop closed."""

YIELD_MASK = 63
"""Slow items between two looks whether others wait for the event loop, less one: their number is a power of two."""

QUICK_MASK = 255
"""Quick items between two looks at the clock, likewise."""


class _Slot:
    __slots__ = (
        "book", "counted", "expired", "listed", "position", "since", "task", "timed", "waited", "waiting",
    )  # fmt: skip

    abandoned = False
    """Whoever runs in it is waited for."""

    def __init__(self, book: Book, *, timed: bool) -> None:
        self.book = book
        self.timed = timed
        self.position = self.counted = -1
        self.listed: list[int] | None = None
        self.since = 0.0
        self.expired = False
        self.waiting = False
        self.waited = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def positions(self) -> list[int]:
        return [self.position] if self.listed is None else self.listed

    def info(self) -> Info:
        return self.book.info(self.position)

    def count(self, name: str, value: float) -> None:
        self.book.tally.add(self, name, value)


class AsyncWindow(SlotWindow):
    """Slots are tasks of the worker's event loop.

    Args:
        book: The items.
        call: Runs the processor on one item, or on a list of them where `list_size` is given.
        limit: Items in flight at most.
        deadline: Seconds after which no further item is begun.
        context: What the processor's code sees as its context.
        list_size: Items that one call takes; None for one at a time.
        gate: Where items wait until they may begin; None where they need not.
        gate_in_call: Whether a call goes through the gate by itself.
    """

    def __init__(
        self,
        book: Book,
        call: Callable[[Any], Awaitable[Any]],
        *,
        limit: int,
        deadline: float,
        context: contextvars.Context,
        list_size: int | None = None,
        gate: Gate | None = None,
        gate_in_call: bool = False,
    ) -> None:
        # A list holds as many places of the window as it has items.
        self._list_size = None if list_size is None else min(list_size, limit)
        width = self._list_size or 1
        super().__init__(book, limit=limit // width, deadline=deadline, width=width, gate=gate)
        self._pass = None if gate is None or gate_in_call else gate.through
        self._context = context
        self._call = call
        self._slots: set[_Slot] = set()
        self._halted = False
        self._look_at = 0.0
        self._growing = False
        self._breathing = False

    async def halt(self) -> None:
        """See base class."""
        self.stop()
        self._halted = True
        while tasks := [slot.task for slot in self._slots if slot.task is not None]:
            for task in tasks:
                task.cancel()
            # Some items catch their cancellation, and go on.
            await asyncio.wait(tasks, timeout=CANCEL_AGAIN)

    def _start(self, source: Iterator[int]) -> None:
        slot = _Slot(self.book, timed=self._is_timed())
        self._slots.add(slot)
        self._open += 1
        work = self._take_items(slot, source) if self._list_size is None else self._take_lists(slot, source)
        slot.task = self._loop.create_task(work, context=self._context.copy())
        slot.task.add_done_callback(lambda task: self._closed(slot, task))

    def _closed(self, slot: _Slot, task: asyncio.Task[None]) -> None:
        self._slots.discard(slot)
        self._open -= 1
        # The task knows its context, which knows the slot: a cycle that would keep the whole batch in memory.
        slot.task = None
        if not task.cancelled() and task.exception() is not None:
            self._error = task.exception()
            self.stop()
        self._wake.set()

    def _look_after(self, now: float) -> None:
        timeout = self.book.options.timeout
        if timeout is None or now < self._look_at:
            return
        self._look_at = now + timeout / LOOKS
        for slot in self._slots:
            if slot.position >= 0 and not slot.waiting and slot.task and self._overdue(slot, now):
                # An item that catches its cancellation gets another one when that much time has passed again.
                slot.expired, slot.since = True, now
                slot.task.cancel()

    def _grow(self) -> None:
        """Open as many slots again as there are; called by the loop once a slot has to wait."""
        self._growing = False
        if self._breathing or self._queueing or self.stopping or self._exhausted:
            return
        for _ in range(min(self._open, self.limit - self._open)):
            self._start(self._source)

    async def _take_items(self, slot: _Slot, source: Iterator[int]) -> None:
        """Run one item after the other. Everything that a quick item pays for is in this loop."""
        current.set(slot.info)
        counting.set(slot.count)
        current_slot.set(slot)
        book, call, validate, dump = self.book, self._call, self.book.validate, self.book.dump
        values, outputs, loop, let_in = book.given, book.outputs, self._loop, self._pass
        began = turn = last = loop.time()
        seen = noted = mask = 0
        for position in source:
            try:
                item = validate(values[position])
            except Exception as error:
                book.reject(position, error)
                continue
            slot.position = position
            slot.since = 0.0
            if let_in is not None:
                with untimed():
                    if not await let_in(1):
                        break
            if not self._growing:
                self._growing = True
                loop.call_soon(self._grow)
            try:
                output = await call(item)
            except END_OF_ALL:
                raise
            except NotBegun:
                break
            except BaseException as error:
                if self._halted:
                    return
                self._failed(position, self._failure(slot, error))
            else:
                if slot.expired:
                    self._failed(position, self._timed_out(slot))
                else:
                    try:
                        outputs[position] = row = dump(output, warnings=False)
                        if len(row) > LARGE:
                            self._weigh(len(row))
                    except PydanticSerializationError as error:
                        self._failed(position, unserializable(output, error))
            seen += 1
            if not seen & mask:
                now = loop.time()
                slow = self.took.add_some(now - last - slot.waited, seen - noted)
                began += slot.waited
                last, noted, mask, slot.waited = now, seen, 0 if slow else QUICK_MASK, 0.0
                if not seen & YIELD_MASK and now - turn > TURN:
                    await self._breathe(slot)
                    last = turn = loop.time()
        self._note_duration(slot, began, seen)

    async def _take_lists(self, slot: _Slot, source: Iterator[int]) -> None:
        """Run one list after the other."""
        current.set(slot.info)
        counting.set(slot.count)
        current_slot.set(slot)
        book = self.book
        size = self._list_size or 1
        began = last = self._loop.time()
        seen = 0
        while True:
            positions, items = take_list(book, source, size)
            if not positions:
                self._note_duration(slot, began, seen)
                return
            slot.position, slot.listed = positions[0], positions
            slot.since = 0.0
            if self._pass is not None:
                with untimed():
                    if not await self._pass(len(positions)):
                        self._note_duration(slot, began, seen)
                        return
            seen += 1
            if not self._growing:
                self._growing = True
                self._loop.call_soon(self._grow)
            outcome: Any
            try:
                outcome = await self._call(items)
                if slot.expired:
                    outcome = self._timed_out(slot)
            except END_OF_ALL:
                raise
            except NotBegun:
                return
            except BaseException as error:
                if self._halted:
                    return
                outcome = self._failure(slot, error)
            now = self._loop.time()
            self.took.add(now - last - slot.waited, len(positions))
            settle_list(book, positions, outcome, self._failed, self._weigh)
            slot.position = -1
            await self._breathe(slot)
            began += slot.waited
            last, slot.waited = self._loop.time(), 0.0

    def _note_duration(self, slot: _Slot, began: float, attempts: int) -> None:
        """Note what the attempts in a slot took, one after the other."""
        if slot.timed and attempts:
            self.durations.append((self._loop.time() - began - slot.waited) / attempts)

    async def _breathe(self, slot: _Slot) -> None:
        slot.position = -1
        self._breathing = True
        await asyncio.sleep(0)
        self._breathing = False

    def _failure(self, slot: _Slot, error: BaseException) -> BaseException:
        if slot.expired:
            return self._timed_out(slot)
        # Not ours: the processor cancelled itself, or something that it awaited was cancelled.
        self._uncancel(slot)
        return error

    def _uncancel(self, slot: _Slot) -> None:
        while slot.task is not None and slot.task.cancelling():
            slot.task.uncancel()

    def _timed_out(self, slot: _Slot) -> TimeoutError:
        slot.expired = False
        self._uncancel(slot)
        return timed_out(self.book.options.timeout)


@contextlib.contextmanager
def untimed() -> Iterator[None]:
    """Within a call: the item's timeout begins anew after the block."""
    slot = cast(_Slot, current_slot.get())
    slot.waiting = True
    began = time.monotonic()
    try:
        yield
    finally:
        slot.waiting, slot.since = False, 0.0
        slot.waited += time.monotonic() - began


def take_list(book: Book, source: Iterator[int], size: int) -> tuple[list[int], list[Any]]:
    """Take up to `size` valid items; those that are not are recorded."""
    positions: list[int] = []
    items: list[Any] = []
    for position in source:
        try:
            items.append(book.validate(book.given[position]))
        except Exception as error:
            book.reject(position, error)
            continue
        positions.append(position)
        if len(positions) == size:
            break
    return positions, items


def settle_list(
    book: Book,
    positions: list[int],
    outcome: Any,
    failed: Callable[[int, BaseException], None],
    weigh: Callable[[int], None],
) -> None:
    """Record what a list processor returned, or the error that it raised, for each of its items."""
    # It counts with whichever of them has its outcome by this call.
    counts = book.tally.take(positions[0])
    if not isinstance(outcome, BaseException):
        wrong = _wrong_outputs(positions, outcome)
        outcome = wrong if wrong is not None else outcome
    outcomes = [outcome] * len(positions) if isinstance(outcome, BaseException) else outcome
    for position, output in zip(positions, outcomes, strict=True):
        if isinstance(output, BaseException):
            failed(position, output)
            continue
        try:
            book.outputs[position] = row = book.dump(output, warnings=False)
            weigh(len(row))
        except PydanticSerializationError as error:
            failed(position, unserializable(output, error))
    if counts and any(map(book.settled, positions)):
        book.tally.keep(counts)


def _wrong_outputs(positions: list[int], outcome: Any) -> WrongOutputs | None:
    try:
        count = len(outcome)
    except TypeError:
        count = -1
    if count < 0 or isinstance(outcome, str | bytes | Mapping | Set):
        return WrongOutputs(
            f"the processor got a list of {len(positions)} items and returned {type(outcome).__name__}"
        )
    if count == len(positions):
        return None
    return WrongOutputs(f"the processor got {len(positions)} items and returned {count} outputs")
