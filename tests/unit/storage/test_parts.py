"""Pieces that are too large to be merged in memory are written part by part."""

from __future__ import annotations

import pytest

from fanout.errors import StoreError
from fanout.storage import merging, parts
from fanout.storage.layout import part_path
from fanout.storage.publishing import publish
from fanout.storage.records import Rest, RollUp
from fanout.storage.stores import Store
from tests.unit.storage.conftest import memory_store
from tests.unit.storage.faulty import Died, FaultyStore, dies_at
from tests.unit.storage.outputs import NONCE, batch, indexes, published

PART = 2000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch, no_pauses: None) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", PART)
    monkeypatch.setattr(parts, "SMALL_BYTES", 500)
    monkeypatch.setattr(merging, "BLOCK_BYTES", 300)


async def large_run(store: Store) -> None:
    """Run 130 items: a large batch with checkpoints, which handed some back, between two small ones."""
    await batch(store, 0, 0, 0, 10)
    await batch(
        store, 0, 1, 10, 100, objects=3, size=100, failed=[17], rests=[Rest([[40, 5, 1], [60, 1, 2]])]
    )
    await batch(store, 0, 2, 110, 20)
    await batch(store, 0, 3, 0, 0, items=[(40, 5), (60, 1)], objects=2, size=100)


async def publish_large_run(store: Store) -> RollUp:
    return await publish(store, NONCE, 0, 0, 130, [])


async def contents(store: Store) -> dict[str, bytes]:
    return {stored.path: await store.read(stored.path) for stored in await store.list("results")}


async def test_a_large_piece_of_several_objects_becomes_parts_of_good_size(store: Store) -> None:
    await large_run(store)
    found = await publish_large_run(store)
    assert await published(store, "results") == [i for i in range(130) if i != 17]
    assert await published(store, "failures") == [17]
    at = 0
    for part in found.results:
        data = await store.read(part.path)
        held = indexes(data.splitlines())
        assert (len(held), len(data)) == (part.rows, part.size)
        assert at <= part.start <= held[0]
        assert held[-1] < part.end
        at = part.end
    assert at == 130
    large = [part for part in found.results if part.start >= 10 and part.end <= 110]
    assert len(large) > 3
    assert all(PART <= part.size < PART + 200 for part in large[:-1])


async def test_names_do_not_depend_on_what_is_read(memory: Store) -> None:
    await large_run(memory)
    found = await publish_large_run(memory)
    paths = [part.path for part in found.results]
    assert paths == sorted(paths)
    assert paths[0] == part_path("results", 0, 0)
    # What follows a streamed piece has the number that its size alone leaves for it.
    size = sum(part.size for part in found.results[1:-1])
    assert paths[-1] == part_path("results", 0, 1 + size // PART + 1)


async def test_two_that_publish_write_the_same(memory: Store) -> None:
    await large_run(memory)
    faulty = FaultyStore(memory)
    found: list[RollUp] = []

    async def overtake(operation: str, path: str) -> None:
        if operation == "create" and not found:
            found.append(await publish_large_run(memory))

    faulty.before = overtake
    assert await publish_large_run(faulty) == found[0]


@pytest.mark.parametrize("side", ["before", "after"])
async def test_after_a_death_at_any_step_the_same_parts_are_written(side: str) -> None:
    clean = FaultyStore(memory_store())
    steps: list[str] = []
    setattr(clean, side, lambda operation, path: steps.append(operation))
    await large_run(clean.inner)
    roll_up = await publish_large_run(clean)
    expected = await contents(clean.inner)
    assert len(steps) > 50
    for step in range(len(steps)):
        faulty = FaultyStore(memory_store())
        await large_run(faulty.inner)
        setattr(faulty, side, dies_at(step))
        with pytest.raises(Died):
            await publish_large_run(faulty)
        found = await publish_large_run(faulty.inner)
        assert (found.results, found.failures) == (roll_up.results, roll_up.failures)
        assert await contents(faulty.inner) == expected


async def test_something_else_under_the_name_of_a_later_part_is_refused(memory: Store) -> None:
    await large_run(memory)
    await memory.create(part_path("results", 0, 3), b"something else\n")
    with pytest.raises(StoreError, match="something else wrote it"):
        await publish_large_run(memory)


async def test_rows_that_two_objects_hold_are_not_published(memory: Store) -> None:
    commit = await batch(memory, 0, 0, 0, 100, objects=2, size=100)
    path = commit.results[1].path
    data = await memory.read(path)
    await memory.delete(path)
    await memory.create(path, data.replace(b'{"index":51,"key":"k51"', b'{"index":50,"key":"k51"'))
    with pytest.raises(StoreError, match="second row of item 50"):
        await publish(memory, NONCE, 0, 0, 100, [])
