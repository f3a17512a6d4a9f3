"""The windows over the items of a batch, without Temporal: what they hold, and what ends them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import fanout
from fanout.children.async_window import AsyncWindow
from fanout.children.book import Book
from fanout.children.gate import Gate
from fanout.children.thread_window import ThreadWindow
from fanout.children.window import SlotWindow
from fanout.options import Options
from fanout.readers.range import Numbered
from fanout.storage import tiling
from fanout.storage.rests import Items, ranges
from fanout.workers.threads import Threads
from tests.waiting import eventually

KINDS = ["async", "thread"]


class Case:
    """A window over a range of numbers."""

    def __init__(self, kind: str, items: int, *, limit: int, deadline: float = 60.0, **options: Any) -> None:
        options.setdefault("retry_initial", 0.01)
        self.kind = kind
        self.limit = limit
        self.deadline = deadline
        self.options = Options(**options)
        self.items = items
        self.running = self.peak = 0
        self.lock = threading.Lock()

    def left(self) -> list[list[int]]:
        """Return the items without an outcome, as ranges."""
        return [list(part) for part in tiling.joined(ranges(self.book.remaining()))]

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return len(self.book) - len(self.book.unsettled())

    def window(self, act: Callable[[int], Any], gate: Gate | None = None) -> SlotWindow:
        """Return the window: `act` is called by each item, and may return seconds to wait."""

        def begin() -> None:
            with self.lock:
                self.running += 1
                self.peak = max(self.peak, self.running)

        def end() -> None:
            with self.lock:
                self.running -= 1

        async def asynchronous(number: int) -> Any:
            begin()
            try:
                found = act(number)
                if isinstance(found, float):
                    await asyncio.sleep(found)
            finally:
                end()
            return found

        def threaded(number: int) -> Any:
            begin()
            try:
                found = act(number)
                if isinstance(found, float):
                    time.sleep(found)
            finally:
                end()
            return found

        processor: fanout.Processor[..., Any]
        processor = fanout.processor(
            asynchronous if self.kind == "async" else threaded, name=f"window-{self.kind}"
        )
        self.book = Book(
            run_id="run",
            processor=processor,
            options=self.options,
            key=None,
            items=[Items(0, self.items)],
            parts=[Numbered(range(self.items), 0)],
            worker="me",
        )
        context = contextvars.copy_context()
        if self.kind == "async":
            return AsyncWindow(
                self.book,
                processor.function,
                limit=self.limit,
                deadline=self.deadline,
                context=context,
                gate=gate,
            )
        return ThreadWindow(
            self.book,
            processor.function,
            limit=self.limit,
            deadline=self.deadline,
            context=context,
            pool=Threads(self.limit),
            gate=gate,
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [1, 7, 40])
async def test_the_limit_is_reached_and_never_exceeded(kind: str, limit: int) -> None:
    case = Case(kind, 25 * limit + 25, limit=limit)
    await case.window(lambda number: 0.005).run()
    assert case.peak == limit
    assert case.left() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_items_that_never_wait_cost_one_slot_or_two(kind: str) -> None:
    case = Case(kind, 20_000, limit=50)
    window = case.window(lambda number: number)
    await window.run()
    assert case.left() == []
    assert case.peak <= (1 if kind == "async" else 50)


@pytest.mark.parametrize("kind", KINDS)
async def test_at_the_deadline_nothing_new_is_begun_and_the_rest_is_handed_back(kind: str) -> None:
    case = Case(kind, 100, limit=5, deadline=0.1)
    await case.window(lambda number: 0.05).run()
    (rest,) = case.left()
    assert 5 <= rest[0] < 30
    assert sum(rest) == 100


@pytest.mark.parametrize("kind", KINDS)
async def test_what_waits_for_a_retry_at_the_deadline_is_handed_back_with_its_attempts(kind: str) -> None:
    case = Case(kind, 100, limit=2, deadline=0.05, retry_initial=3, retry_coefficient=1, retries=2)

    def act(number: int) -> float:
        if number == 1:
            raise ValueError("always")
        return 0.02

    await case.window(act).run()
    left = case.book.remaining()
    assert (left[0].start, left[0].count, left[0].attempts) == (1, 1, 1)
    assert time.time() < left[0].due < time.time() + 3
    assert sum(case.left()[-1]) == 100


@pytest.mark.parametrize("kind", KINDS)
async def test_an_item_whose_retry_is_far_away_does_not_hold_the_window(kind: str) -> None:
    case = Case(kind, 10, limit=2, retry_initial=60, retries=2)

    def act(number: int) -> float:
        if number == 4:
            raise ValueError("later")
        return 0.01

    await asyncio.wait_for(case.window(act).run(), 5)
    (waiting,) = case.book.remaining()
    assert (waiting.start, waiting.count, waiting.attempts) == (4, 1, 1)
    assert 50 < waiting.due - time.time() < 61


@pytest.mark.parametrize("kind", KINDS)
async def test_a_window_that_is_stopped_ends_what_is_in_flight_and_loses_nothing(kind: str) -> None:
    case = Case(kind, 100, limit=4)
    window = case.window(lambda number: 0.05)
    running = asyncio.ensure_future(window.run())
    await eventually(lambda: case.peak == 4)
    window.stop()
    await asyncio.wait_for(running, 5)
    done = case.done
    assert 4 <= done < 20
    assert case.left() == [[done, 100 - done]]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_window_with_retries_that_are_due_waits_without_spinning(kind: str) -> None:
    case = Case(kind, 8, limit=2, retries=1, retry_initial=0.001)

    def act(number: int) -> float:
        if number < 2 and case.book.attempts.get(number, 0) == 0:
            raise ValueError("again")
        return 0.3

    window = case.window(act)
    turns = 0
    looked = window._look_after

    def look(now: float) -> None:
        nonlocal turns
        turns += 1
        looked(now)

    window._look_after = look  # type: ignore[method-assign]
    await window.run()
    assert case.done == 8
    assert turns < 200, "the event loop was kept busy"


async def test_halting_cuts_off_what_is_in_flight_and_records_nothing_of_it() -> None:
    case = Case("async", 50, limit=5, retries=0)
    window = case.window(lambda number: 10.0 if number >= 3 else number)
    running = asyncio.ensure_future(window.run())
    await eventually(lambda: case.running == 5)
    await window.halt()
    await asyncio.wait_for(running, 5)
    assert case.left() == [[3, 47]]
    assert not case.book.failures


async def test_an_error_of_the_window_itself_is_raised_and_not_swallowed() -> None:
    case = Case("async", 10, limit=2)
    window = case.window(lambda number: 0.001)

    def broken(output: Any, /, *, warnings: bool) -> bytes:
        raise MemoryError("no room")

    case.book.dump = broken
    with pytest.raises(MemoryError):
        await asyncio.wait_for(window.run(), 5)


async def test_slots_that_wait_are_looked_at_as_often_as_their_timeout_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case("async", 100, limit=100, timeout=600)
    window = case.window(lambda number: 0.7)
    looked: list[object] = []
    overdue = window._overdue

    def note(slot: Any, now: float) -> bool:
        looked.append(slot)
        return overdue(slot, now)

    monkeypatch.setattr(window, "_overdue", note)
    await window.run()
    assert len(looked) == 100
    assert case.left() == []


async def test_a_deadline_does_not_stop_a_window_that_is_still_filling() -> None:
    """What is handed back could as well have begun: a process needs its time to begin half a million items."""
    case = Case("async", 300, limit=300, deadline=0.05)

    def act(number: int) -> float:
        time.sleep(0.001)
        return 0.5

    await asyncio.wait_for(case.window(act).run(), 10)
    assert (case.done, case.peak) == (300, 300)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_window_that_has_begun_its_last_items_gives_up_what_they_do_not_need(kind: str) -> None:
    case = Case(kind, 20, limit=10, retries=0)
    window = case.window(lambda number: 0.01 if number < 18 else 0.5)
    running = asyncio.ensure_future(window.run())
    await eventually(lambda: case.done == 18)
    await eventually(lambda: window.in_flight == 2)
    # The others may be about to end, too.
    assert window.give_up() == 0
    assert window.give_up() == 8
    assert window.give_up() == 0
    assert window.limit == 2
    await asyncio.wait_for(running, 5)
    assert case.done == 20


async def test_slots_for_items_that_wait_for_another_attempt_are_not_given_up() -> None:
    case = Case("async", 10, limit=10, retries=1, retry_initial=0.3)

    def act(number: int) -> float:
        if number < 4 and case.book.attempts.get(number, 0) == 0:
            raise ValueError("again")
        return 0.2 if number < 5 else 0.01

    window = case.window(act)
    running = asyncio.ensure_future(window.run())
    await eventually(lambda: case.done == 5)
    await eventually(lambda: window.in_flight <= 1)
    assert window.give_up() == 0
    assert window.give_up() == 5
    await asyncio.wait_for(running, 5)
    assert case.done == 10
    assert case.peak <= 10
