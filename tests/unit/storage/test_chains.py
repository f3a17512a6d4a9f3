"""Outputs that are read as one: random chains of runs, reruns and continuations against a dict of outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.errors import StoreError
from fanout.readers import selecting
from fanout.storage import parts, reading
from fanout.storage.chains import Cursor
from tests.unit.storage.links import Chain


async def live(seed: int, broken: str = "") -> None:
    chain = Chain(seed, broken)
    await chain.begin(chain.chance.choice([0, 3]), chain.items)
    chain.items += 3
    for _ in range(chain.chance.randint(1, 4)):
        await chain.go_on()
        await chain.check()
        await chain.go_on()
        await chain.end()
        await chain.check()
        if chain.chance.random() > 0.3 or not await chain.continue_():
            await chain.rerun()
    await chain.check()


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_the_newest_outcome_of_each_item_is_read_once_whatever_became_of_the_runs(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selecting, "MOST_RUNS", 3)
        patch.setattr(selecting, "WINDOW", 7)
        if seed % 2:
            patch.setattr(parts, "PART_BYTES", 300)
            patch.setattr(reading, "_WHOLE_BYTES", 50)
        asyncio.run(live(seed))


@pytest.mark.parametrize(("broken", "seed"), [("closing", 20), ("placing", 1)])
def test_a_mechanism_that_is_left_out_is_noticed(broken: str, seed: int) -> None:
    asyncio.run(live(seed))
    with pytest.raises((AssertionError, StoreError)):
        asyncio.run(live(seed, broken))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12), st.integers(1, 9))
def test_a_cursor_gives_each_item_once(gaps: list[tuple[int, int]], step: int) -> None:
    ranges, at = [], 0
    for gap, count in gaps:
        ranges.append((at + gap, count))
        at += gap + count

    async def walk() -> list[int]:
        async def blocks() -> AsyncGenerator[list[tuple[int, int]]]:
            for start in range(0, len(ranges), 2):
                yield ranges[start : start + 2]

        cursor = Cursor(blocks())
        found = []
        for end in range(0, at + step, step):
            some = await cursor.upto(end)
            assert all(first + count <= end for first, count in some)
            found += some
        return [index for first, count in found for index in range(first, first + count)]

    assert asyncio.run(walk()) == [index for first, count in ranges for index in range(first, first + count)]
