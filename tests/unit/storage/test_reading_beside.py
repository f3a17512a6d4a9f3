"""Readers beside a run that publishes and ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable

import pytest

from fanout.storage import markers, merging, publishing, reading
from fanout.storage.layout import KINDS, Kind
from fanout.storage.publishing import publish
from fanout.storage.stores import Store, open_store
from tests.unit.storage import outputs
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.outputs import EXPECTED, NONCE, batch, read, small_run


async def end_run(store: Store) -> None:
    await outputs.publish_small_run(store)
    await outputs.finalize_small_run(store)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whole", [True, False])
async def test_a_reader_survives_the_end_of_the_run_at_every_step_of_its_own(
    kind: Kind, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(reading, "_WHOLE_BYTES", 10)
        monkeypatch.setattr(merging, "BLOCK_BYTES", 100)

    async def run(step: int) -> int:
        faulty = FaultyStore(open_store(f"memory://{uuid.uuid4().hex}"))
        await small_run(faulty.inner)
        left = iter(range(step, -1, -1))

        async def end(operation: str, path: str) -> None:
            if next(left, None) == 0:
                await end_run(faulty.inner)

        faulty.before = end
        assert await read(faulty, kind) == EXPECTED[kind]
        return len(faulty.operations)

    steps = await run(1_000_000)
    assert steps > 8
    for step in range(steps + 1):
        await run(step)


async def test_finding_survives_the_end_of_the_run_at_every_step_of_its_own() -> None:
    async def run(step: int) -> int:
        faulty = FaultyStore(open_store(f"memory://{uuid.uuid4().hex}"))
        await small_run(faulty.inner)
        left = iter(range(step, -1, -1))

        async def end(operation: str, path: str) -> None:
            if next(left, None) == 0:
                await end_run(faulty.inner)

        faulty.before = end
        found = await reading.find_row(faulty, 5)
        assert found is not None
        assert (found[0], found[1]["index"]) == ("failures", 5)
        return len(faulty.operations)

    for step in range(await run(1_000_000)):
        await run(step)


async def test_rows_committed_while_reading_do_not_disturb_the_order(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    await batch(memory, 0, 0, 0, 10, more=[(4, 2)])
    await batch(memory, 0, 1, 10, 10)
    faulty = FaultyStore(memory)
    begun: list[str] = []

    async def late(operation: str, path: str) -> None:
        if operation == "read" and path.startswith("_data") and not begun:
            begun.append(path)
            await batch(memory, 0, 2, 4, 2)
            await publish(memory, NONCE, 0, 0, 20, [])
            await publishing.finalize(memory, outputs.record(), outputs.run_result(20, 20, 0), 1)

    faulty.before = late
    assert await read(faulty, "results") == [0, 1, 2, 3, 6, 7, 8, 9, *range(10, 20)]
    assert await read(faulty, "results") == list(range(20))


async def test_many_readers_beside_publishing_read_each_row_once(store: Store) -> None:
    await small_run(store)

    async def one(kind: Kind, ordered: bool) -> None:
        assert sorted(await read(store, kind, ordered=ordered)) == EXPECTED[kind]

    readers: list[Awaitable[None]] = [
        one(kind, ordered) for kind in KINDS for ordered in (True, False) for _ in range(5)
    ]
    await asyncio.gather(end_run(store), *readers)


async def test_a_reader_that_leaves_early_leaves_nothing_running(memory: Store) -> None:
    await small_run(memory)
    found = reading.chunks(memory, "results")
    async for _ in found:
        break
    await found.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
