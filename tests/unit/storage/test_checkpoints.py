from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fanout.errors import ObjectExists, StoreError, StoreUnavailable
from fanout.storage import checkpoints
from fanout.storage.layout import batch_key, checkpoint_path, checkpoints_folder
from fanout.storage.records import Commit, DataObject, Rest
from fanout.storage.stores import Store
from tests.unit.storage.faulty import Died, FaultyStore, dies_at

KEY = batch_key(12, 34, "1a2b3c4d")
ITEMS = [(0, 4), (6, 6)]
CHECKPOINT = Commit(
    nonce="n",
    key=KEY,
    token="t0",
    start=0,
    count=10,
    items=[[0, 4], [6, 6]],
    more=[[8, 2]],
    rests=[Rest([[10, 1, 2]], due=5.0)],
    results=[DataObject("_data/a", 4, 40, 0), DataObject("_data/b", 2, 20, 6)],
    failures=[DataObject("_data/c", 1, 9, 11)],
    succeeded=6,
    failed=1,
    error_types={"ValueError": 1},
    seconds=1.5,
)


async def names(store: Store) -> list[str]:
    return [stored.path.removeprefix(checkpoints_folder(KEY)) for stored in await store.list("_checkpoints")]


async def test_a_key_without_checkpoints_has_none(store: Store) -> None:
    assert await checkpoints.latest(store, "n", KEY, ITEMS) is None


async def test_a_checkpoint_is_found_as_it_was_saved(store: Store) -> None:
    path = await checkpoints.save(store, CHECKPOINT, 0)
    assert path == checkpoint_path(KEY, "t0", 0)
    assert await checkpoints.latest(store, "n", KEY, ITEMS) == CHECKPOINT


async def test_an_execution_keeps_its_last_checkpoint_only(store: Store) -> None:
    for number in range(3):
        await checkpoints.save(store, replace(CHECKPOINT, seconds=float(number)), number)
    assert await names(store) == ["/t0.00002.json"]
    found = await checkpoints.latest(store, "n", KEY, ITEMS)
    assert found is not None
    assert found.seconds == 2


async def test_of_several_executions_the_one_that_has_come_furthest_counts(store: Store) -> None:
    for token, succeeded in (("t1", 3), ("t0", 6), ("t2", 5)):
        await checkpoints.save(store, replace(CHECKPOINT, token=token, succeeded=succeeded), 0)
    found = await checkpoints.latest(store, "n", KEY, ITEMS)
    assert found is not None
    assert (found.token, found.succeeded) == ("t0", 6)
    assert len(await names(store)) == 3


async def test_failures_are_progress_too(memory: Store) -> None:
    await checkpoints.save(memory, replace(CHECKPOINT, token="t1", succeeded=7, failed=0), 0)
    await checkpoints.save(memory, replace(CHECKPOINT, token="t0", succeeded=2, failed=6), 0)
    found = await checkpoints.latest(memory, "n", KEY, ITEMS)
    assert found is not None
    assert found.token == "t0"


async def test_keys_do_not_see_each_others_checkpoints(memory: Store) -> None:
    await checkpoints.save(memory, CHECKPOINT, 0)
    for other in (batch_key(12, 34), batch_key(12, 34, "1a2b3c4e"), batch_key(12, 3), batch_key(1, 34)):
        assert await checkpoints.latest(memory, "n", other, ITEMS) is None


async def test_a_checkpoint_of_other_items_or_another_run_is_refused(memory: Store) -> None:
    await checkpoints.save(memory, CHECKPOINT, 0)
    for items in ([(0, 10)], [(0, 4)], [(0, 4), (6, 5)]):
        with pytest.raises(StoreError, match="one set for ever"):
            await checkpoints.latest(memory, "n", KEY, items)
    with pytest.raises(StoreError, match="another start"):
        await checkpoints.latest(memory, "other", KEY, ITEMS)


async def test_a_damaged_checkpoint_is_an_error(memory: Store) -> None:
    await memory.create(checkpoint_path(KEY, "t0", 0), b'{"nonce":')
    with pytest.raises(StoreError, match="cannot be read as a Commit"):
        await checkpoints.latest(memory, "n", KEY, ITEMS)


async def test_a_checkpoint_that_is_superseded_while_it_is_read_is_read_again(store: Store) -> None:
    await checkpoints.save(store, CHECKPOINT, 0)
    faulty = FaultyStore(store)
    later = iter([replace(CHECKPOINT, seconds=2.0), replace(CHECKPOINT, seconds=3.0)])

    async def supersede(operation: str, path: str) -> None:
        if operation == "read" and (newer := next(later, None)):
            await checkpoints.save(store, newer, int(newer.seconds) - 1)

    faulty.before = supersede
    found = await checkpoints.latest(faulty, "n", KEY, ITEMS)
    assert found is not None
    assert found.seconds == 3


async def test_checkpoints_that_change_for_ever_may_be_read_later(memory: Store) -> None:
    await checkpoints.save(memory, CHECKPOINT, 0)
    faulty = FaultyStore(memory)
    numbers = iter(range(1, 100))

    async def supersede(operation: str, path: str) -> None:
        if operation == "read":
            await checkpoints.save(memory, CHECKPOINT, next(numbers))

    faulty.before = supersede
    with pytest.raises(StoreUnavailable, match="faster than they can be read"):
        await checkpoints.latest(faulty, "n", KEY, ITEMS)


async def test_saving_again_after_a_lost_answer_is_no_conflict(memory: Store) -> None:
    await checkpoints.save(memory, CHECKPOINT, 0)
    await checkpoints.save(memory, CHECKPOINT, 0)
    assert await checkpoints.latest(memory, "n", KEY, ITEMS) == CHECKPOINT


async def test_a_conflict_that_left_no_checkpoint_is_told(memory: Store) -> None:
    faulty = FaultyStore(memory)

    def conflict(operation: str, path: str) -> None:
        if operation == "create":
            raise ObjectExists("409")

    faulty.before = conflict
    with pytest.raises(StoreUnavailable, match="409"):
        await checkpoints.save(faulty, CHECKPOINT, 0)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("step", [0, 1])
async def test_a_death_while_saving_leaves_one_checkpoint_at_least(
    memory: Store, side: str, step: int
) -> None:
    await checkpoints.save(memory, CHECKPOINT, 0)
    newer = replace(CHECKPOINT, succeeded=7, more=[[9, 1]], results=[DataObject("_data/a", 7, 70)])
    faulty = FaultyStore(memory)
    setattr(faulty, side, dies_at(step))
    with pytest.raises(Died):
        await checkpoints.save(faulty, newer, 1)
    expected = CHECKPOINT if (side, step) == ("before", 0) else newer
    assert await checkpoints.latest(memory, "n", KEY, ITEMS) == expected


async def test_readers_beside_a_busy_execution_find_a_whole_checkpoint(store: Store) -> None:
    await checkpoints.save(store, CHECKPOINT, 0)

    async def save_on() -> None:
        for number in range(1, 10):
            await checkpoints.save(store, replace(CHECKPOINT, seconds=float(number)), number)

    async def read_on() -> None:
        for _ in range(5):
            try:
                found = await checkpoints.latest(store, "n", KEY, ITEMS)
            except StoreUnavailable:
                continue
            assert found is not None

    await asyncio.gather(save_on(), read_on(), read_on())
