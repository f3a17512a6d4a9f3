"""The end of a run: its manifest, and what is checked before it is written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fanout.errors import StoreError
from fanout.storage import markers, publishing, roll_ups
from fanout.storage.layout import (
    MANIFEST,
    ROLL_UPS,
    batch_key,
    commit_path,
    roll_up_path,
)
from fanout.storage.publishing import publish
from fanout.storage.stores import Store
from tests.unit.storage import outputs
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.outputs import NONCE, batch, published, small_run


async def test_the_manifest_comes_last_and_data_go_after_it(store: Store) -> None:
    await small_run(store)
    await outputs.publish_small_run(store)
    faulty = FaultyStore(store)
    manifest = await outputs.finalize_small_run(faulty)
    assert manifest.roll_ups == [roll_up_path(0), roll_up_path(1)]
    assert manifest.run == outputs.record()
    assert manifest.result.succeeded == 33
    assert manifest.fanout
    assert manifest.written.endswith("+00:00")
    steps = [operation for operation, _ in faulty.operations if operation in ("create", "delete")]
    assert steps == ["create", "delete"]
    assert await store.list("_data") == []
    assert await published(store, "results") == outputs.SMALL_SUCCEEDED
    assert await publishing.load_manifest(store) == manifest
    assert await outputs.finalize_small_run(store) == manifest


async def test_finalizing_at_once_gives_one_manifest(memory: Store) -> None:
    await small_run(memory)
    await outputs.publish_small_run(memory)
    found = await asyncio.gather(*(outputs.finalize_small_run(memory) for _ in range(5)))
    assert all(one == found[0] for one in found)


async def test_another_runs_manifest_is_refused(memory: Store) -> None:
    await small_run(memory)
    await outputs.publish_small_run(memory)
    await outputs.finalize_small_run(memory)
    with pytest.raises(StoreError, match="another start"):
        await publishing.finalize(memory, outputs.record("other"), outputs.run_result(40, 33, 7), 2)


async def test_a_missing_roll_up_is_named(memory: Store) -> None:
    await small_run(memory)
    await publish(memory, NONCE, 1, 20, 20, [])
    with pytest.raises(
        StoreError, match="2 partitions and 1 roll-ups; the first one missing is that of partition 0"
    ):
        await outputs.finalize_small_run(memory)
    await publish(memory, NONCE, 0, 0, 20, [])
    with pytest.raises(StoreError, match="1 partitions and 2 roll-ups"):
        await publishing.finalize(memory, outputs.record(), outputs.run_result(40, 33, 7), 1)
    assert await publishing.load_manifest(memory) is None
    assert await memory.list("_data")


@pytest.mark.parametrize(
    ("items", "succeeded", "failed", "not_run"),
    [(40, 33, 6, 0), (40, 32, 8, 0), (40, 33, 7, 1), (41, 33, 7, 1), (41, 33, 7, 0)],
)
async def test_totals_that_do_not_add_up_are_refused(
    memory: Store, items: int, succeeded: int, failed: int, not_run: int
) -> None:
    await small_run(memory)
    await outputs.publish_small_run(memory)
    result = outputs.run_result(items, succeeded, failed, not_run)
    with pytest.raises(StoreError, match=r"do not add up|do not tile"):
        await publishing.finalize(memory, outputs.record(), result, 2)
    assert await publishing.load_manifest(memory) is None


async def test_partitions_that_overlap_or_leave_a_gap_are_refused(memory: Store) -> None:
    for partition, start in enumerate((0, 8, 30)):
        await batch(memory, partition, 0, start, 10)
        await publish(memory, NONCE, partition, start, 10, [])
    with pytest.raises(StoreError, match="lost: items 18-29; twice: items 8-9; outside: items 30-39"):
        await publishing.finalize(memory, outputs.record(), outputs.run_result(30, 30, 0), 3)
    with pytest.raises(StoreError, match="settle items 8-9 twice"):
        await publishing.finalize(memory, outputs.record(), outputs.run_result(30, 30, 0), 3, complete=False)


async def test_a_roll_up_that_does_not_add_up_is_refused(memory: Store) -> None:
    await small_run(memory)
    first, _ = await outputs.publish_small_run(memory)
    await memory.delete(roll_up_path(0))
    await roll_ups.create(memory, replace(first, not_run=[[0, 1]]))
    with pytest.raises(StoreError, match=f"{roll_up_path(0)} does not add up"):
        await outputs.finalize_small_run(memory)


async def test_a_canceled_run_has_a_manifest_of_the_partitions_that_began(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    await batch(memory, 1, 0, 20, 10, failed=[21])
    await publish(memory, NONCE, 1, 20, 20, [[30, 10]])
    # Began, and was never published: its rows are in no part, so they stay.
    await batch(memory, 2, 0, 40, 10)
    result = outputs.run_result(100, 9, 1, 90)
    manifest = await publishing.finalize(memory, outputs.record(), result, 5, complete=False)
    assert manifest.roll_ups == [roll_up_path(1)]
    assert [stored.path.split("/")[1] for stored in await memory.list("_data")] == ["000002"]


async def test_a_canceled_run_must_add_up_too(memory: Store) -> None:
    await batch(memory, 1, 0, 20, 10)
    await publish(memory, NONCE, 1, 20, 20, [[30, 10]])
    for result in (outputs.run_result(100, 9, 0, 91), outputs.run_result(15, 10, 0, 5)):
        with pytest.raises(StoreError, match="do not add up"):
            await publishing.finalize(memory, outputs.record(), result, 5, complete=False)


async def test_a_run_without_items_is_finalized(memory: Store) -> None:
    manifest = await publishing.finalize(memory, outputs.record(), outputs.run_result(0, 0, 0), 0)
    assert manifest.roll_ups == []


@pytest.mark.parametrize("path", [MANIFEST, f"{ROLL_UPS}/000000.json", commit_path(batch_key(0, 0))])
async def test_damaged_objects_are_named(memory: Store, path: str) -> None:
    await small_run(memory)
    await memory.delete(path)
    await memory.create(path, b'{"nonce":')
    with pytest.raises(StoreError, match=f"{path} cannot be read"):  # noqa: PT012 - either may be the first to read it
        await outputs.publish_small_run(memory)
        await outputs.finalize_small_run(memory)


async def test_a_roll_up_under_another_name_is_refused(memory: Store) -> None:
    await small_run(memory)
    await outputs.publish_small_run(memory)
    await memory.publish([roll_up_path(0)], roll_up_path(2))
    with pytest.raises(StoreError, match="says that it is the roll-up of partition 0"):
        await publishing.finalize(memory, outputs.record(), outputs.run_result(60, 51, 9), 3)
