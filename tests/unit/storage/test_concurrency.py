from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from fanout.storage.concurrency import ahead, each


class Gauge:
    """Counts what runs at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.canceled = 0

    async def work(self, number: int) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for _ in range(-number % 5 * 3):
                await asyncio.sleep(0)
            return number * 2
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        finally:
            self.now -= 1


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_each_keeps_order_and_bound() -> None:
    gauge = Gauge()
    assert await each(gauge.work, range(100), 7) == [number * 2 for number in range(100)]
    assert gauge.most == 7
    assert await each(gauge.work, [], 7) == []


async def test_the_first_error_ends_all_of_it() -> None:
    never = asyncio.Event()
    ended: list[int] = []

    async def work(number: int) -> None:
        if number == 3:
            raise ValueError(number)
        try:
            await never.wait()
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="3"):
        await each(work, range(100), 4)
    assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize("ordered", [True, False])
async def test_ahead_yields_all_of_them_within_its_bound(ordered: bool) -> None:
    gauge = Gauge()
    found = [number async for number in ahead(gauge.work, numbers(50), 4, ordered=ordered)]
    expected = [number * 2 for number in range(50)]
    assert sorted(found) == expected
    assert (found == expected) == ordered
    assert gauge.most == 4


async def test_leaving_early_ends_what_was_begun() -> None:
    never = asyncio.Event()
    ended: list[int] = []

    async def work(number: int) -> int:
        try:
            if number:
                await never.wait()
        finally:
            ended.append(number)
        return number

    async with contextlib.aclosing(ahead(work, numbers(50), 4)) as found:
        async for number in found:
            assert number == 0
            break
    assert sorted(ended) == [0, 1, 2, 3]


async def test_an_error_comes_through_ahead() -> None:
    async def work(number: int) -> int:
        if number == 5:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match="5"):
        async for _ in ahead(work, numbers(50), 4, ordered=False):
            pass
