from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout.errors import ObjectExists, ObjectMissing, StoreError
from fanout.storage import checkpoints, parts, publications, roll_ups
from fanout.storage.layout import (
    CHECKPOINTS,
    PUBLICATIONS,
    batch_key,
    part_path,
)
from fanout.storage.publishing import publish
from fanout.storage.records import Commit, DataObject, Publication, Rest
from fanout.storage.rows import Piece
from fanout.storage.stores import Store
from tests.unit.storage import outputs
from tests.unit.storage.conftest import memory_store
from tests.unit.storage.faulty import Died, FaultyStore
from tests.unit.storage.outputs import NONCE, batch, check_parts, published, ref, small_run

KIB = 1024


async def test_a_glob_over_the_published_folders_is_exact(store: Store) -> None:
    await small_run(store)
    found = await outputs.publish_small_run(store)
    assert await published(store, "results") == outputs.SMALL_SUCCEEDED
    assert await published(store, "failures") == outputs.SMALL_FAILED
    for roll_up in found:
        await check_parts(store, roll_up)
    first = found[0]
    assert (first.totals.succeeded, first.totals.failed, first.totals.batches) == (18, 2, 4)
    assert first.totals.error_types == {"ValueError": 2}
    assert first.totals.result_bytes == first.results[0].size
    assert await roll_ups.find(store, NONCE, 0) == first


async def test_publishing_twice_and_at_once_changes_nothing(store: Store) -> None:
    await small_run(store)
    found = await asyncio.gather(*(publish(store, NONCE, 0, 0, 20, []) for _ in range(5)))
    before = await store.list()
    again = await publish(store, NONCE, 0, 0, 20, [])
    assert all(one == again for one in found)
    assert await store.list() == before


async def test_a_partition_without_items_has_an_empty_roll_up(memory: Store) -> None:
    found = await publish(memory, NONCE, 3, 50, 0, [], seconds=1.5)
    assert (found.results, found.failures, found.totals.done, found.seconds) == ([], [], 0, 1.5)


async def test_what_was_not_run_is_part_of_the_tiling(memory: Store) -> None:
    await batch(memory, 0, 0, 0, 10, more=[(6, 4)])
    with pytest.raises(StoreError, match="lost: items 6-19"):
        await publish(memory, NONCE, 0, 0, 20, [])
    with pytest.raises(StoreError, match="twice: items 5"):
        await publish(memory, NONCE, 0, 0, 20, [[5, 15]])
    found = await publish(memory, NONCE, 0, 0, 20, [[6, 4], [10, 10]])
    assert found.not_run == [[6, 14]]


async def test_sets_that_were_handed_back_and_never_run_are_part_of_the_tiling(store: Store) -> None:
    one = await batch(
        store, 0, 0, 0, 10, more=[(8, 2)], rests=[Rest([[1, 2, 1], [6, 1, 3]]), Rest([[4, 1, 1]])]
    )
    two = await batch(store, 0, 1, 0, 0, items=[(1, 1), (6, 1)], rests=[Rest([[6, 1, 4]], due=9e9)])
    with pytest.raises(StoreError, match="lost: items 2, 4, 6 and 1 more ranges"):
        await publish(store, NONCE, 0, 0, 10, [])
    with pytest.raises(StoreError, match="twice: items 1, 6"):
        await publish(store, NONCE, 0, 0, 10, [[8, 2]], rests=[ref(one), ref(one, 1), ref(two)])
    # Of the first set a batch has taken the first item and the last.
    left = replace(ref(one), offset=1, count=1)
    found = await publish(store, NONCE, 0, 0, 10, [[8, 2]], rests=[ref(two), left, ref(one, 1)])
    assert found.not_run == [[2, 1], [4, 1], [6, 1], [8, 2]]
    assert await published(store, "results") == [0, 1, 3, 5, 7]
    assert await publish(store, NONCE, 0, 0, 10, [[8, 2]], rests=[ref(two), left, ref(one, 1)]) == found


async def test_commits_of_a_workflow_that_was_reset_are_passed_over(store: Store) -> None:
    await batch(store, 0, 0, 0, 4, planner="aaaaaaaa")
    # Planned before the reset, decided after it: it counts.
    await batch(store, 0, 1, 4, 4, more=[(6, 2)], planner="aaaaaaaa")
    # Planned by the workflow that was given up.
    await batch(store, 0, 2, 6, 2, failed=[6, 7], planner="aaaaaaaa")
    await batch(store, 0, 2, 6, 1, planner="bbbbbbbb")
    await batch(store, 0, 3, 7, 1, planner="bbbbbbbb")
    with pytest.raises(StoreError, match="twice: items 6, 7"):
        await publish(store, NONCE, 0, 0, 8, [])
    found = await publish(store, NONCE, 0, 0, 8, [], keys={"aaaaaaaa": [0, 2], "bbbbbbbb": [2, 4]})
    assert (found.totals.succeeded, found.totals.failed, found.totals.batches) == (8, 0, 4)
    assert await published(store, "results") == list(range(8))
    assert await published(store, "failures") == []


async def test_a_workflow_reset_while_it_was_published_publishes_what_was_begun(store: Store) -> None:
    await batch(store, 0, 0, 0, 4, planner="aaaaaaaa")
    old = {"aaaaaaaa": [0, 2]}
    new = {"aaaaaaaa": [0, 1], "bbbbbbbb": [1, 3]}
    await batch(store, 0, 1, 4, 4, planner="aaaaaaaa")
    await batch(store, 0, 1, 4, 2, failed=[5], size=9, planner="bbbbbbbb")
    await batch(store, 0, 2, 6, 2, failed=[6, 7], planner="bbbbbbbb")
    faulty = FaultyStore(store)

    def die(operation: str, path: str) -> None:
        if path.startswith("results/"):
            raise Died

    faulty.after = die
    with pytest.raises(Died):
        await publish(faulty, NONCE, 0, 0, 8, [], keys=old)
    found = await publish(store, NONCE, 0, 0, 8, [], keys=new)
    assert (found.totals.succeeded, found.totals.failed) == (8, 0)
    assert await published(store, "results") == list(range(8))
    assert await published(store, "failures") == []
    assert await publish(store, NONCE, 0, 0, 8, [], keys=old) == found


async def test_what_cannot_be_published_decides_nothing(memory: Store) -> None:
    await batch(memory, 0, 0, 0, 10)
    with pytest.raises(StoreError, match="lost: items 10-19"):
        await publish(memory, NONCE, 0, 0, 20, [])
    assert await memory.list(PUBLICATIONS) == []
    await publish(memory, NONCE, 0, 0, 20, [[10, 10]])
    assert len(await memory.list(PUBLICATIONS)) == 1


async def test_another_runs_publication_is_refused(memory: Store) -> None:
    await batch(memory, 0, 0, 0, 10)
    await publications.settle(memory, Publication("other", 0, 0, 10))
    with pytest.raises(StoreError, match="another start of the run"):
        await publish(memory, NONCE, 0, 0, 10, [])


async def test_a_key_that_counts_and_has_no_commit_is_noticed(memory: Store) -> None:
    await batch(memory, 0, 0, 0, 4, planner="aaaaaaaa")
    await batch(memory, 0, 1, 4, 4, planner="cccccccc")
    with pytest.raises(StoreError, match="lost: items 4-7"):
        await publish(memory, NONCE, 0, 0, 8, [], keys={"aaaaaaaa": [0, 2]})


async def test_keys_without_a_planner_count_where_they_are_named(memory: Store) -> None:
    await batch(memory, 0, 0, 0, 4)
    await batch(memory, 0, 1, 4, 4, planner="aaaaaaaa")
    found = await publish(memory, NONCE, 0, 0, 8, [], keys={"": [0, 1], "aaaaaaaa": [1, 2]})
    assert found.totals.succeeded == 8


async def test_checkpoints_go_when_the_run_ends(store: Store) -> None:
    await small_run(store)
    key = batch_key(0, 0)
    await checkpoints.save(store, Commit(NONCE, key, "t", 0, 10, more=[[0, 10]]), 0)
    await outputs.publish_small_run(store)
    assert await store.list(CHECKPOINTS)
    await outputs.finalize_small_run(store)
    assert await store.list(CHECKPOINTS) == []


async def test_lost_and_doubled_items_are_named(memory: Store) -> None:
    await batch(memory, 0, 0, 0, 10, more=[(5, 1)])
    await batch(memory, 0, 1, 12, 10)
    await batch(memory, 0, 2, 3, 1)
    text = r"partition 0 .* 20 items 0-19; lost: .* 5, 10-11; twice: .* 3; outside: .* 20-21"
    with pytest.raises(StoreError, match=text):
        await publish(memory, NONCE, 0, 0, 20, [])
    assert await memory.list("results") == []
    assert await roll_ups.find(memory, NONCE, 0) is None


async def test_another_plan_of_the_same_partition_is_refused(memory: Store) -> None:
    await small_run(memory)
    await outputs.publish_small_run(memory)
    with pytest.raises(StoreError, match="20 items from 0, where 30 from 0 were planned"):
        await publish(memory, NONCE, 0, 0, 30, [])
    with pytest.raises(StoreError, match="another start"):
        await publish(memory, "other", 0, 0, 20, [])


async def test_rows_that_are_gone_or_damaged_are_not_published(memory: Store) -> None:
    one = await batch(memory, 0, 0, 0, 10)
    data = await memory.read(one.results[0].path)
    await memory.delete(one.results[0].path)
    with pytest.raises(ObjectMissing, match="is committed, and does not exist"):
        await publish(memory, NONCE, 0, 0, 10, [])
    await memory.create(one.results[0].path, data[:-5])
    with pytest.raises(StoreError, match="it is damaged"):
        await publish(memory, NONCE, 0, 0, 10, [])
    assert await roll_ups.find(memory, NONCE, 0) is None


async def test_an_object_with_rows_too_few_is_noticed_where_rows_are_merged(memory: Store) -> None:
    commit = await batch(memory, 0, 0, 0, 10, more=[(4, 2)])
    await batch(memory, 0, 1, 4, 2)
    data = await memory.read(commit.results[0].path)
    await memory.delete(commit.results[0].path)
    await memory.create(commit.results[0].path, data.replace(b"\n", b" ", 1))
    with pytest.raises(StoreError, match="7 rows where 8 are committed"):
        await publish(memory, NONCE, 0, 0, 10, [])


async def test_a_row_of_an_item_that_another_object_holds_is_noticed(memory: Store) -> None:
    commit = await batch(memory, 0, 0, 0, 10, more=[(4, 2)])
    await batch(memory, 0, 1, 4, 2)
    data = await memory.read(commit.results[0].path)
    await memory.delete(commit.results[0].path)
    await memory.create(commit.results[0].path, data.replace(b'{"index":3,', b'{"index":4,'))
    with pytest.raises(StoreError, match="two rows of item 4"):
        await publish(memory, NONCE, 0, 0, 10, [])


async def test_small_objects_are_joined_and_large_ones_stay_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SMALL_BYTES", 4 * KIB)
    monkeypatch.setattr(parts, "PART_BYTES", 8 * KIB)
    for number, size in enumerate([100, 100, 500, 100, 350, 350, 350, 100]):
        await batch(store, 0, number, number * 10, 10, size=size)
    # A large object that handed items back: merged with those, alone.
    await batch(store, 0, 8, 80, 10, more=[(85, 2)], size=600)
    await batch(store, 0, 9, 85, 2, size=10)
    found = await publish(store, NONCE, 0, 0, 90, [])
    assert [(part.start, part.end) for part in found.results] == [
        (0, 20),
        (20, 30),
        (30, 50),
        (50, 70),
        (70, 80),
        (80, 90),
    ]
    await check_parts(store, found)
    assert await published(store, "results") == list(range(90))


async def test_what_something_else_wrote_under_a_parts_name_is_not_published(memory: Store) -> None:
    await small_run(memory)
    await memory.create(part_path("results", 0, 0), b"something else\n")
    with pytest.raises(StoreError, match="something else wrote it"):
        await publish(memory, NONCE, 0, 0, 20, [])


@pytest.mark.parametrize("rows", [10, 8])
async def test_a_conflict_that_left_no_part_is_no_reason_to_give_up(
    memory: Store, rows: int, no_pauses: None
) -> None:
    await batch(memory, 0, 0, 0, 10, more=[(4, 2)] if rows == 8 else [])
    if rows == 8:
        await batch(memory, 0, 1, 4, 2)
    faulty = FaultyStore(memory)
    conflicts = iter([ObjectExists("409"), ObjectExists("409 again")])

    def conflict(operation: str, path: str) -> None:
        if operation == "create" and (error := next(conflicts, None)):
            raise error

    faulty.before = conflict
    found = await publish(faulty, NONCE, 0, 0, 10, [])
    assert next(conflicts, None) is None
    await check_parts(memory, found)


@st.composite
def partitions(draw: st.DrawFn) -> list[tuple[int, int, list[tuple[int, int]], set[int]]]:
    """Return batches that tile 30 items, with what they hand back decided by further batches."""
    waiting, batches = [(0, 30)], []
    while waiting:
        start, count = waiting.pop(draw(st.integers(0, len(waiting) - 1)))
        settle = draw(st.lists(st.booleans(), min_size=count, max_size=count))
        if not any(settle):
            settle[draw(st.integers(0, count - 1))] = True
        more: list[tuple[int, int]] = []
        for offset, settled in enumerate(settle):
            index = start + offset
            if settled:
                continue
            if more and sum(more[-1]) == index and draw(st.booleans()):
                more[-1] = (more[-1][0], more[-1][1] + 1)
            else:
                more.append((index, 1))
        failed = draw(st.sets(st.integers(start, start + count - 1), max_size=3))
        batches.append((start, count, more, failed))
        waiting += more
    return batches


@settings(max_examples=40)
@given(partitions(), st.integers(100, 2000))
def test_parts_are_exact_and_in_order_however_batches_handed_items_back(
    batches: list[tuple[int, int, list[tuple[int, int]], set[int]]], part_bytes: int
) -> None:
    async def run() -> None:
        store = memory_store()
        failed = set()
        for sequence, (start, count, more, bad) in enumerate(batches):
            await batch(store, 0, sequence, start, count, more=more, failed=bad, size=20)
            settled = set(range(start, start + count)) - {i for a, n in more for i in range(a, a + n)}
            failed |= bad & settled
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts, "PART_BYTES", part_bytes)
            patch.setattr(parts, "SMALL_BYTES", part_bytes // 2)
            found = await publish(store, NONCE, 0, 0, 30, [])
        await check_parts(store, found)
        assert await published(store, "failures") == sorted(failed)
        assert await published(store, "results") == [i for i in range(30) if i not in failed]

    asyncio.run(run())


def small(pieces: list[int]) -> list[Piece]:
    return [Piece(((at * 10, 10),), (DataObject(f"d{at}", 10, size),)) for at, size in enumerate(pieces)]


@given(st.lists(st.integers(1, 3 * parts.SMALL_BYTES), max_size=60))
def test_groups_keep_every_piece_in_order_and_within_bounds(sizes: list[int]) -> None:
    groups = parts.group(small(sizes))
    assert [piece.sources[0].size for members in groups for piece in members] == sizes
    for members in groups:
        total = sum(piece.size for piece in members)
        assert len(members) == 1 or total <= parts.PART_BYTES
        assert len(members) == 1 or all(piece.size < parts.SMALL_BYTES for piece in members)
