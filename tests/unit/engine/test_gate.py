"""Where items wait for the rate limit of their run: of all kinds of windows, and of batches that share a process."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import Any

import pytest

from fanout.children.async_window import AsyncWindow
from fanout.children.gate import Gate, Gates, NotBegun
from tests.unit.engine.test_window import KINDS, Case
from tests.waiting import eventually


async def through(gate: Gate, kind: str, count: int = 1) -> bool:
    if kind == "async":
        return await gate.through(count)
    return await asyncio.to_thread(gate.through_in_thread, count)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_gate_lets_in_at_its_rate_after_what_it_has_at_once(kind: str) -> None:
    with Gates().opened("run", 2.0, 20, least=3) as gate:
        began = time.monotonic()
        for _ in range(12):
            assert await through(gate, kind)
        # Four at once, and the others at forty a second.
        assert time.monotonic() - began >= 8 / 40 - 0.001


@pytest.mark.parametrize("kind", KINDS)
async def test_who_waits_is_sent_away_when_the_gate_is_stopped(kind: str) -> None:
    with Gates().opened("run", 0.1, 1) as gate:
        assert await through(gate, kind)
        waiting = asyncio.create_task(through(gate, kind))
        await eventually(lambda: gate.waiting == 1)
        gate.stop()
        assert not await asyncio.wait_for(waiting, 1)
        assert gate.waiting == 0
        assert not await through(gate, kind)


async def test_what_one_batch_leaves_unused_the_others_of_its_run_use_and_no_others() -> None:
    gates = Gates()
    with gates.opened("run", 1.0, 50), gates.opened("run", 1.0, 50) as busy, gates.opened("other", 1.0, 1):
        began = time.monotonic()
        for _ in range(50):
            assert await busy.through()
        assert 40 / 100 - 0.001 <= time.monotonic() - began < 40 / 50


async def test_a_batch_gives_up_its_part_only_once_what_it_began_is_made_up_for() -> None:
    gates = Gates()
    with gates.opened("run", 0.1, 50) as gate:
        began = time.monotonic()
        assert await gate.through()
        await gate.give_up(49)
        assert 0.19 < time.monotonic() - began < 1
        # Here is nothing to make up for, at a rate at which that would take long.
        await asyncio.wait_for(gate.closed(lambda: False), 1)
    with gates.opened("run", 0.1, 1) as gate:
        assert await gate.through()
        await asyncio.wait_for(gate.closed(lambda: True), 1)


async def test_a_batch_that_follows_one_that_was_cut_off_pays_for_it() -> None:
    gates = Gates()
    with gates.opened("run", 1.0, 5) as gate:
        assert await gate.through()
    began = time.monotonic()
    with gates.opened("run", 1.0, 5) as gate:
        assert await gate.through()
    assert time.monotonic() - began > 0.1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_window_begins_no_more_than_its_gate_lets_in_and_no_more_slots_than_that_takes(
    kind: str,
) -> None:
    case = Case(kind, 40, limit=30)
    began: list[float] = []
    slots: list[int] = []

    def act(number: int) -> float:
        began.append(time.monotonic())
        slots.append(window._open)
        return 0.05

    with Gates().opened("run", 1.0, 50) as gate:
        window = case.window(act, gate)
        await window.run()
    assert case.left() == []
    began.sort()
    for first in range(40):
        for last in range(first, 40):
            assert last - first + 1 <= 50 * (began[last] - began[first]) + 5 + 0.1
    # Fifty a second, each for a twentieth of one.
    assert case.peak <= 10
    assert max(slots) <= 20


@pytest.mark.parametrize("kind", KINDS)
async def test_each_attempt_goes_through_the_gate_and_what_waits_there_is_not_timed_out(kind: str) -> None:
    case = Case(kind, 3, limit=3, retries=1, timeout=0.2)
    times: list[float] = []

    def act(number: int) -> int:
        times.append(time.monotonic())
        if number == 0 and len(times) == 1:
            raise ValueError("once more")
        return number

    with Gates().opened("run", 3.0, 1) as gate:
        await case.window(act, gate).run()
    assert case.left() == []
    assert not case.book.failures
    assert len(times) == 4
    assert times[3] - times[0] > 0.99


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["stop", "halt", "deadline"])
async def test_items_that_wait_when_the_window_ends_are_handed_back_at_once(kind: str, how: str) -> None:
    case = Case(kind, 10, limit=4, deadline=0.3 if how == "deadline" else 60.0, retries=0)
    with Gates().opened("run", 0.05, 1) as gate:
        window = case.window(lambda number: number, gate)
        running = asyncio.ensure_future(window.run())
        await eventually(lambda: case.done == 1 and gate.waiting)
        assert window.in_flight == 0
        assert window.give_up() == 0
        if how == "stop":
            window.stop()
        elif how == "halt":
            await window.halt()
        await asyncio.wait_for(running, 2)
    assert case.left() == [[1, 9]]
    assert not case.book.attempts


async def test_a_gate_is_kept_to_by_many_threads_at_once() -> None:
    passed: list[float] = []
    with Gates().opened("run", 2.0, 100) as gate:

        def push() -> None:
            while gate.through_in_thread():
                passed.append(time.monotonic())

        threads = [threading.Thread(target=push) for _ in range(8)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        await asyncio.sleep(0.5)
        gate.stop()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert len(passed) <= 200 * (time.monotonic() - began) + 20
        assert len(passed) >= 80
        assert gate.waiting == 0


@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize("how", ["stop", "halt"])
async def test_items_that_wait_within_their_call_are_handed_back_too(size: int | None, how: str) -> None:
    case = Case("async", 10, limit=4, retries=0)
    with Gates().opened("run", 0.05, 1, least=size or 1) as gate:

        async def call(item: Any) -> Any:
            if not await gate.through(size or 1):
                raise NotBegun
            return item

        case.window(lambda number: number)
        window = AsyncWindow(
            case.book,
            call,
            limit=4,
            deadline=60,
            context=contextvars.copy_context(),
            list_size=size,
            gate=gate,
            gate_in_call=True,
        )
        running = asyncio.ensure_future(window.run())
        await eventually(lambda: case.done and gate.waiting)
        window.stop() if how == "stop" else await window.halt()
        await asyncio.wait_for(running, 2)
    assert case.left() == [[size or 1, 10 - (size or 1)]]
    assert not case.book.attempts
