from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import StoreError
from fanout.pages import RestRef
from fanout.storage import rests
from fanout.storage.layout import batch_key
from fanout.storage.records import Rest
from fanout.storage.rests import Items
from fanout.storage.stores import Store
from tests.unit.storage.conftest import memory_store
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.outputs import NONCE, batch, ref

RUNS = [[2, 3, 1], [6, 1, 2], [10, 5, 1]]


async def resolve(store: Store, *refs: RestRef) -> list[Items]:
    return await rests.resolve(store, NONCE, refs)


async def test_a_whole_set_is_what_its_commit_lists(store: Store) -> None:
    commit = await batch(store, 0, 0, 0, 20, rests=[Rest([[0, 1, 0]]), Rest(RUNS, due=7.5)])
    found = await resolve(store, ref(commit, 1))
    assert found == [Items(2, 3, 1, 7.5), Items(6, 1, 2, 7.5), Items(10, 5, 1, 7.5)]
    assert rests.ranges(found) == [(2, 3), (6, 1), (10, 5)]


@pytest.mark.parametrize(
    ("offset", "count", "expected"),
    [
        (0, 1, [(2, 1)]),
        (2, 1, [(4, 1)]),
        (2, 3, [(4, 1), (6, 1), (10, 1)]),
        (3, 1, [(6, 1)]),
        (4, 5, [(10, 5)]),
        (6, 2, [(12, 2)]),
        (9, 0, []),
    ],
)
async def test_a_slice_is_counted_in_index_order_across_runs(
    memory: Store, offset: int, count: int, expected: list[tuple[int, int]]
) -> None:
    commit = await batch(memory, 0, 0, 0, 20, rests=[Rest(RUNS)])
    found = await resolve(memory, RestRef(commit.key, 0, count, 2, 15, offset=offset))
    assert rests.ranges(found) == expected


async def test_several_commits_are_read_once_each_and_their_items_sorted(memory: Store) -> None:
    one = await batch(memory, 0, 0, 0, 20, rests=[Rest([[1, 2, 1], [15, 1, 3]]), Rest([[9, 1, 1]], due=3.0)])
    two = await batch(memory, 0, 1, 20, 20, rests=[Rest([[25, 2, 1]])])
    faulty = FaultyStore(memory)
    found = await resolve(faulty, ref(two), ref(one, 1), ref(one))
    assert found == [Items(1, 2, 1), Items(9, 1, 1, 3.0), Items(15, 1, 3), Items(25, 2, 1)]
    assert len(faulty.operations) == 2


async def test_nothing_is_read_for_no_references(memory: Store) -> None:
    assert await resolve(memory) == []


async def test_what_a_commit_does_not_hand_back_is_refused(memory: Store) -> None:
    commit = await batch(memory, 0, 0, 0, 20, rests=[Rest(RUNS)])
    key = commit.key
    for wrong, text in (
        (RestRef(batch_key(0, 1), 0, 1, 0, 20), "has handed items back, and does not exist"),
        (RestRef(key, 1, 1, 0, 20), "hands back 1 sets of items, not a 2th"),
        (RestRef(key, 0, 10, 0, 20), "fewer items in set 0 than the 10 known"),
        (RestRef(key, 0, 1, 0, 20, offset=9), "fewer items in set 0 than the 10 known"),
    ):
        with pytest.raises(StoreError, match=text):
            await resolve(memory, wrong)
    with pytest.raises(StoreError, match="another start"):
        await rests.resolve(memory, "other", [ref(commit)])


@st.composite
def sets(draw: st.DrawFn) -> list[list[int]]:
    runs, at = [], 0
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.integers(0, 3))
        count = draw(st.integers(1, 5))
        runs.append([at, count, draw(st.integers(0, 3))])
        at += count
    return runs


@given(st.lists(sets(), min_size=1, max_size=3), st.data())
def test_however_sets_are_cut_the_pieces_are_exactly_the_sets(
    given_sets: list[list[list[int]]], data: st.DataObject
) -> None:
    async def run() -> None:
        store = memory_store()
        pieces, expected = [], []
        for number, runs in enumerate(given_sets):
            shifted = [[first + 100 * number, count, past] for first, count, past in runs]
            commit = await batch(store, 0, number, 100 * number, 100, rests=[Rest(shifted)])
            expected += [(i, past) for first, count, past in shifted for i in range(first, first + count)]
            left: RestRef | None = ref(commit)
            while left is not None:
                taken, left = left.cut(data.draw(st.integers(1, 8)))
                pieces.append(taken)
        shuffled = data.draw(st.permutations(pieces))
        found = await resolve(store, *shuffled)
        assert [
            (i, one.attempts) for one in found for i in range(one.start, one.start + one.count)
        ] == expected
        assert sum(piece.count for piece in pieces) == len(expected)

    asyncio.run(run())
