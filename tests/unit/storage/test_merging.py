from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import merging
from fanout.storage.merging import merged
from fanout.storage.records import DataObject
from fanout.storage.stores import Store
from tests.unit.storage.conftest import memory_store
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.outputs import indexes, result_row


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "BLOCK_BYTES", 100)


async def put(
    store: Store, name: str, rows: Sequence[int], size: int = 0, first: int | None = None
) -> DataObject:
    lines = [result_row(index, size) for index in rows]
    await store.create(name, lines)
    lowest = (rows[0] if rows else 0) if first is None else first
    return DataObject(name, len(lines), sum(map(len, lines)), lowest)


async def merge(store: Store, sources: Sequence[DataObject]) -> list[int]:
    return [index async for lines in merged(store, sources) for index in indexes(lines)]


@st.composite
def objects(draw: st.DrawFn) -> list[tuple[list[int], int, int]]:
    """Return rows, size of a row and lower bound of some objects, which together hold some items once."""
    count = draw(st.integers(1, 5))
    held: list[list[int]] = [[] for _ in range(count)]
    for index in sorted(draw(st.sets(st.integers(0, 60), max_size=30))):
        held[draw(st.integers(0, count - 1))].append(index)
    sizes = st.sampled_from([0, 7, 90, 250])
    return [(rows, draw(sizes), draw(st.integers(0, rows[0] if rows else 0))) for rows in held]


@settings(max_examples=150)
@given(objects(), st.integers(1, 200))
def test_rows_come_in_order_however_items_are_distributed_over_objects(
    given_objects: list[tuple[list[int], int, int]], block: int
) -> None:
    async def run() -> None:
        store = memory_store()
        sources = [
            await put(store, f"d{at}", rows, size, first)
            for at, (rows, size, first) in enumerate(given_objects)
        ]
        expected = sorted(index for rows, _, _ in given_objects for index in rows)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(merging, "BLOCK_BYTES", block)
            assert await merge(store, sources) == expected

    asyncio.run(run())


async def test_lines_are_what_the_objects_hold_without_their_ends(store: Store) -> None:
    sources = [await put(store, "a", range(0, 40, 2), 30), await put(store, "b", range(1, 40, 2), 5)]
    lines = [line async for found in merged(store, sources) for line in found]
    rows = [result_row(index, 5 if index % 2 else 30) for index in range(40)]
    assert [line + b"\n" for line in lines] == rows


async def test_no_objects_have_no_rows(memory: Store) -> None:
    assert await merge(memory, []) == []


@pytest.mark.parametrize(
    "held",
    [[[1, 2, 3], [3, 4]], [[1, 2, 3], [2]], [[5], [5]], [[1, 9], [2, 9]], [[1, 2, 2]], [[1, 3, 2], [9]]],
)
async def test_two_rows_of_an_item_are_noticed(memory: Store, held: list[list[int]]) -> None:
    sources = [await put(memory, f"d{at}", rows) for at, rows in enumerate(held)]
    if len(sources) == 1:
        # What one object holds is its writer's business; it is not even looked at.
        assert await merge(memory, sources) == held[0]
        return
    with pytest.raises(StoreError, match="second row of item"):
        await merge(memory, sources)


@pytest.mark.parametrize("others", [0, 1])
async def test_damaged_objects_are_noticed(memory: Store, others: int) -> None:
    sources = [await put(memory, f"d{at}", [100 + at], 9) for at in range(others)]
    good = await put(memory, "x", range(10), 9)
    data = await memory.read("x")
    for damaged in (data[: good.size // 2], data[:-1], data.replace(b"\n", b" ", 1), b"", data + b"more"):
        await memory.delete("x")
        await memory.create("x", damaged)
        whole = DataObject("x", good.rows, max(good.size, len(damaged)), 0)
        with pytest.raises(StoreError, match=r"it is damaged|not a row"):
            async for _ in merged(memory, [whole, *sources]):
                pass
    await memory.delete("x")
    with pytest.raises(ObjectMissing):
        await merge(memory, [good, *sources])


async def test_what_is_no_row_is_noticed(memory: Store) -> None:
    one = await put(memory, "a", [1])
    await memory.create("b", b'{"key": 1}\n')
    with pytest.raises(StoreError, match="not a row"):
        await merge(memory, [one, DataObject("b", 1, 11, 0)])


async def most_open(store: Store, sources: Sequence[DataObject]) -> int:
    """Return how many objects were begun and not yet read to their end at most."""
    faulty = FaultyStore(store)
    sizes = {data.path: data.size for data in sources}
    read: dict[str, int] = {}
    most = 0

    async def count(operation: str, path: str) -> None:
        nonlocal most
        assert operation == "read_range"
        read[path] = read.get(path, 0) + merging.BLOCK_BYTES
        most = max(most, sum(taken < sizes[name] for name, taken in read.items()))

    faulty.before = count
    async with contextlib.aclosing(merged(faulty, sources)) as found:
        async for lines in found:
            # Nor is more than a block of each ever held.
            assert sum(map(len, lines)) <= 2 * merging.BLOCK_BYTES
    return most


async def test_only_objects_whose_items_interleave_are_open_at_once(memory: Store) -> None:
    sources = []
    for number in range(12):
        low = 100 * number
        sources.append(await put(memory, f"even{number}", range(low, low + 100, 2)))
        sources.append(await put(memory, f"odd{number}", range(low + 1, low + 100, 2)))
    assert await merge(memory, sources) == list(range(1200))
    assert await most_open(memory, sources) <= 3


async def test_an_object_that_spans_all_others_is_held_by_a_block(memory: Store) -> None:
    spanning = await put(memory, "a", range(0, 1000, 50))
    sources = [await put(memory, f"d{n}", range(n * 50 + 1, n * 50 + 50)) for n in range(20)]
    assert await merge(memory, [*sources, spanning]) == list(range(1000))
    assert await most_open(memory, [*sources, spanning]) <= 3


async def test_a_row_larger_than_a_block_is_whole(memory: Store) -> None:
    sources = [await put(memory, "a", [0, 2, 4], 1000), await put(memory, "b", [1, 3], 5)]
    assert await merge(memory, sources) == [0, 1, 2, 3, 4]
