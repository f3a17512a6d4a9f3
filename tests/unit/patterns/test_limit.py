"""The limit that patterns share: fair, changeable, and safe to be cancelled in."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.patterns import Limit


async def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    limit, order = Limit(1), []
    await limit.acquire()

    async def ask(number: int) -> None:
        await limit.acquire()
        order.append(number)
        limit.release()

    asking = [asyncio.create_task(ask(number)) for number in range(5)]
    await asyncio.sleep(0)
    limit.release()
    await asyncio.gather(*asking)
    assert order == list(range(5))
    assert limit.in_flight == 0


async def test_a_smaller_limit_takes_nothing_away_and_a_larger_one_admits_at_once() -> None:
    limit = Limit(3)
    for _ in range(3):
        await limit.acquire()
    limit.max_concurrency = -5
    assert (limit.max_concurrency, limit.in_flight) == (0, 3)
    waiting = asyncio.create_task(limit.acquire())
    await asyncio.sleep(0)
    limit.release()
    await asyncio.sleep(0)
    assert not waiting.done()
    limit.max_concurrency = 3
    await waiting
    assert limit.in_flight == 3


@pytest.mark.parametrize("given_first", [False, True])
async def test_a_place_is_not_lost_when_whoever_waits_for_it_is_cancelled(given_first: bool) -> None:
    limit = Limit(1)
    await limit.acquire()
    waiting = asyncio.create_task(limit.acquire())
    await asyncio.sleep(0)
    if given_first:
        limit.release()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not given_first:
        limit.release()
    assert limit.in_flight == 0
    await asyncio.wait_for(limit.acquire(), 1)


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=30), st.integers(1, 20))
def test_it_holds_whatever_it_is_changed_to_and_everyone_gets_through(bounds: list[int], count: int) -> None:
    async def run() -> None:
        limit = Limit(bounds[0])

        async def pass_through() -> None:
            await limit.acquire()
            assert limit.in_flight <= max(highest, 1)
            await asyncio.sleep(0)
            limit.release()

        highest = max(*bounds, 1, bounds[0])
        passing = [asyncio.create_task(pass_through()) for _ in range(count)]
        for bound in bounds:
            limit.max_concurrency = bound
            await asyncio.sleep(0)
        limit.max_concurrency = 1
        await asyncio.wait_for(asyncio.gather(*passing), 5)
        assert limit.in_flight == 0

    asyncio.run(run())
