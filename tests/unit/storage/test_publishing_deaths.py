"""Publishing that dies in the middle, and goes on."""

from __future__ import annotations

import pytest

from fanout.storage import publishing, roll_ups
from fanout.storage.publishing import publish
from fanout.storage.stores import Store, open_store
from tests.unit.storage import outputs
from tests.unit.storage.conftest import memory_store
from tests.unit.storage.faulty import Died, FaultyStore, dies_at
from tests.unit.storage.outputs import NONCE, check_parts, published, small_run


async def whole(store: Store) -> None:
    await outputs.publish_small_run(store)
    await outputs.finalize_small_run(store)


async def check_whole(store: Store) -> None:
    assert await published(store, "results") == outputs.SMALL_SUCCEEDED
    assert await published(store, "failures") == outputs.SMALL_FAILED
    assert await store.list("_data") == []
    manifest = await publishing.load_manifest(store)
    assert manifest is not None
    for path in manifest.roll_ups:
        await check_parts(store, await roll_ups.load(store, NONCE, path))


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("make", ["memory", "local"])
async def test_publishing_goes_on_after_a_death_at_any_step(
    side: str, make: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def new() -> Store:
        return memory_store() if make == "memory" else open_store(str(tmp_path_factory.mktemp("output")))

    clean = FaultyStore(new())
    steps: list[str] = []
    setattr(clean, side, lambda operation, path: steps.append(operation))
    await small_run(clean.inner)
    await whole(clean)
    await check_whole(clean.inner)
    assert len(steps) > 20
    for step, operation in enumerate(steps):
        if make == "local" and operation not in ("create", "publish", "delete"):
            # Syncing takes time; a death beside a read is the same everywhere.
            continue
        faulty = FaultyStore(new())
        await small_run(faulty.inner)
        setattr(faulty, side, dies_at(step))
        with pytest.raises(Died):
            await whole(faulty)
        await whole(faulty.inner)
        await check_whole(faulty.inner)


async def test_a_slow_attempt_that_finds_the_run_ended_returns_what_stands(memory: Store) -> None:
    await small_run(memory)
    faulty = FaultyStore(memory)
    once: list[int] = []

    async def overtake(operation: str, path: str) -> None:
        if operation == "list" and path.startswith("_data") and not once:
            once.append(1)
            await whole(memory)

    faulty.before = overtake
    found = await publish(faulty, NONCE, 0, 0, 20, [])
    assert once
    assert found == await roll_ups.find(memory, NONCE, 0)
    await check_whole(memory)
