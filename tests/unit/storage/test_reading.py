from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import checkpoints, finding, markers, merging, parts, publishing, reading
from fanout.storage.layout import batch_key
from fanout.storage.publishing import publish
from fanout.storage.records import Commit, Rest
from fanout.storage.stores import Store, open_store
from tests.unit.storage import outputs
from tests.unit.storage.faulty import FaultyStore
from tests.unit.storage.outputs import EXPECTED, NONCE, batch, read, small_run


async def check(store: Store) -> None:
    """Check that each row is read once, in order where it is asked for, and is found by itself."""
    for kind, expected in EXPECTED.items():
        assert await read(store, kind) == expected
        assert sorted(await read(store, kind, ordered=False)) == expected
        for index in expected[::5]:
            found = await reading.find_row(store, index)
            assert found is not None
            assert found[0] == kind
            assert found[1]["index"] == index
    assert await reading.find_row(store, 40) is None
    assert await reading.find_row(store, -1) is None


async def test_rows_are_read_at_every_stage_of_a_run(store: Store) -> None:
    await small_run(store)
    await check(store)
    await publish(store, NONCE, 1, 20, 20, [])
    await check(store)
    await publish(store, NONCE, 0, 0, 20, [])
    await check(store)
    await outputs.finalize_small_run(store)
    await check(store)


async def test_an_output_without_commits_has_no_rows(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    assert await read(memory, "results") == []
    assert await reading.find_row(memory, 0) is None
    assert await reading.find_key(memory, "k0") is None


async def test_a_folder_that_is_no_output_is_refused(memory: Store) -> None:
    for request in (read(memory, "results"), reading.find_row(memory, 0), reading.find_key(memory, "k")):
        with pytest.raises(StoreError, match="cannot see the run's output"):
            await request


async def test_items_without_an_outcome_yet_are_not_found(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    await batch(memory, 0, 0, 0, 10, more=[(4, 2)])
    await batch(memory, 2, 1, 50, 10)
    assert await read(memory, "results") == [0, 1, 2, 3, 6, 7, 8, 9, *range(50, 60)]
    for index in (4, 5, 10, 30, 49, 60):
        assert await reading.find_row(memory, index) is None
    for index in (0, 9, 50, 59):
        assert await reading.find_row(memory, index) is not None


async def test_an_item_before_the_first_known_commit_of_its_partition_is_found(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    for partition in range(5):
        # The first key of each partition covers its end.
        await batch(memory, partition, 0, partition * 20 + 10, 10)
        await batch(memory, partition, 1, partition * 20, 10)
    for index in range(100):
        found = await reading.find_row(memory, index)
        assert found is not None
        assert found[1]["index"] == index


async def test_one_item_is_found_without_reading_all(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    for partition in range(64):
        await batch(memory, partition, 0, partition * 10, 10)
        await publish(memory, NONCE, partition, partition * 10, 10, [])
    faulty = FaultyStore(memory)
    found = await reading.find_row(faulty, 333)
    assert found is not None
    assert found[1] == {"index": 333, "key": "k333", "output": ""}
    assert len(faulty.operations) < 20


async def test_one_item_is_found_in_a_large_object_by_a_few_reads(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_READ_BYTES", 1000)
    monkeypatch.setattr(finding, "_PROBE_BYTES", 300)
    await markers.claim(memory, outputs.record())
    await batch(memory, 0, 0, 0, 5000, failed=[17, 4999])
    faulty = FaultyStore(memory)
    for index in [*range(0, 5000, 97), 16, 17, 18, 4998, 4999]:
        found = await reading.find_row(faulty, index)
        assert found is not None
        assert found[1]["index"] == index
        assert found[0] == ("failures" if index in (17, 4999) else "results")
    assert len(faulty.operations) < 56 * 25


async def test_one_item_is_found_among_rows_larger_than_a_probe(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_READ_BYTES", 1000)
    monkeypatch.setattr(finding, "_PROBE_BYTES", 300)
    await markers.claim(memory, outputs.record())
    await batch(memory, 0, 0, 0, 20, size=700)
    for index in range(20):
        found = await reading.find_row(memory, index)
        assert found is not None
        assert found[1]["index"] == index


async def test_an_item_is_found_by_its_key(store: Store) -> None:
    await small_run(store)
    await outputs.publish_small_run(store)
    for key, kind in (("k17", "results"), ("k24", "failures")):
        found = await reading.find_key(store, key)
        assert found is not None
        assert (found[0], found[1]["key"]) == (kind, key)
    for key in ("k1700", "k", "17", '"', "k17\n"):
        assert await reading.find_key(store, key) is None


@pytest.mark.parametrize("key", ["ü/ß", 'a"b', "日本", "a\\b", "tab\t", "🙂"])
@pytest.mark.parametrize("ascii_only", [True, False])
async def test_keys_are_found_however_json_wrote_them(memory: Store, key: str, ascii_only: bool) -> None:
    await markers.claim(memory, outputs.record())
    commit = await batch(memory, 0, 0, 0, 1)
    row = json.dumps({"index": 0, "key": key, "output": "k0"}, ensure_ascii=ascii_only, separators=(",", ":"))
    await memory.delete(commit.results[0].path)
    await memory.create(commit.results[0].path, row.encode() + b"\n")
    found = await reading.find_key(memory, key)
    assert found == ("results", {"index": 0, "key": key, "output": "k0"})
    # The output's text is no key.
    assert await reading.find_key(memory, "k0") is None


async def test_large_objects_are_streamed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_WHOLE_BYTES", 2000)
    monkeypatch.setattr(merging, "BLOCK_BYTES", 700)
    monkeypatch.setattr(parts, "SMALL_BYTES", 2000)
    await markers.claim(store, outputs.record())
    await batch(store, 0, 0, 0, 100)
    await batch(store, 0, 1, 100, 10, size=1500)
    await batch(store, 0, 2, 110, 10)
    for ordered in (True, False):
        assert sorted(await read(store, "results", ordered=ordered)) == list(range(120))
    assert await read(store, "results") == list(range(120))
    await publish(store, NONCE, 0, 0, 120, [])
    assert await read(store, "results") == list(range(120))


async def long_run(store: Store) -> None:
    """Run 60 items: batches with checkpoints, which hand sets back, and one that has a later sequence's items."""
    await markers.claim(store, outputs.record())
    scattered = [Rest([[3, 2, 1], [11, 1, 2]]), Rest([[7, 1, 1]], due=9e9)]
    await batch(store, 0, 0, 0, 20, objects=3, failed=[4, 5, 9, 12], rests=scattered, more=[(15, 2)])
    await batch(store, 0, 1, 20, 20, objects=2)
    await batch(store, 0, 2, 0, 0, items=[(3, 2), (11, 1)], failed=[4], rests=[Rest([[11, 1, 3]])])
    await batch(store, 1, 0, 40, 20, objects=4, failed=range(44, 52))


LONG_FAILED = [4, 5, 9, 12, *range(44, 52)]
LONG_LEFT = [7, 11, 15, 16]


async def check_long(store: Store, left: Sequence[int]) -> None:
    succeeded = [index for index in range(60) if index not in LONG_FAILED and index not in left]
    for kind, expected in (("results", succeeded), ("failures", LONG_FAILED)):
        assert await read(store, kind) == expected  # type: ignore[arg-type]
        assert sorted(await read(store, kind, ordered=False)) == expected  # type: ignore[arg-type]
        for index in expected[::3]:
            found = await reading.find_row(store, index)
            assert found is not None
            assert (found[0], found[1]["index"]) == (kind, index)
    for index in left:
        assert await reading.find_row(store, index) is None
    totals = await reading.committed(store)
    assert (totals.succeeded, totals.failed) == (len(succeeded), len(LONG_FAILED))


@pytest.mark.parametrize("whole", [True, False])
async def test_rows_of_batches_with_checkpoints_are_read_at_every_stage(
    store: Store, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(reading, "_WHOLE_BYTES", 10)
        monkeypatch.setattr(merging, "BLOCK_BYTES", 100)
        monkeypatch.setattr(parts, "PART_BYTES", 300)
    await long_run(store)
    await check_long(store, LONG_LEFT)
    await batch(store, 0, 3, 0, 0, items=[(7, 1), (11, 1), (15, 2)], objects=2)
    await check_long(store, [])
    await publish(store, NONCE, 1, 40, 20, [])
    await check_long(store, [])
    await publish(store, NONCE, 0, 0, 40, [])
    await check_long(store, [])
    await publishing.finalize(store, outputs.record(), outputs.run_result(60, 48, 12), 2)
    await check_long(store, [])


async def test_a_checkpoint_shows_no_rows_before_its_batch_is_decided(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    key = batch_key(0, 0)
    rows = await outputs.write_rows(memory, "results", key, "t", [outputs.result_row(0)])
    await checkpoints.save(memory, Commit(NONCE, key, "t", 0, 2, more=[[1, 1]], results=rows, succeeded=1), 0)
    assert await read(memory, "results") == []
    assert await reading.find_row(memory, 0) is None
    assert (await reading.committed(memory)).done == 0


async def test_damaged_rows_are_an_error_not_a_shorter_answer(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await markers.claim(memory, outputs.record())
    commit = await batch(memory, 0, 0, 0, 10)
    data = await memory.read(commit.results[0].path)
    await memory.delete(commit.results[0].path)
    await memory.create(commit.results[0].path, data[: len(data) // 2])
    with pytest.raises(StoreError, match="it is damaged"):
        await read(memory, "results")
    monkeypatch.setattr(reading, "_WHOLE_BYTES", 10)
    with pytest.raises(StoreError, match="it is damaged"):
        await read(memory, "results")


async def test_rows_that_are_nowhere_are_an_error(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    commit = await batch(memory, 0, 0, 0, 10)
    await memory.delete(commit.results[0].path)
    for request in (read(memory, "results"), reading.find_row(memory, 3)):
        with pytest.raises(ObjectMissing):
            await request


# --------------------------------------------------------------------------------------------------- chains


async def chain(length: int, root: str) -> list[Store]:
    """Make runs that each continue the one before, with ten items each."""
    stores: list[Store] = []
    for number in range(length):
        store = open_store(f"{root}/{number}")
        previous = stores[-1].url if stores else None
        record = replace(outputs.record(f"n{number}"), previous=previous)
        await markers.claim(store, record)
        start = number * 10
        await batch(store, 0, 0, start, 10, failed=[start + 3], nonce=record.nonce)
        if number % 2 == 0:
            await publish(store, record.nonce, 0, start, 10, [])
            await publishing.finalize(store, record, outputs.run_result(10, 9, 1), 1)
        stores.append(store)
    return stores


async def test_the_rows_of_what_a_run_continues_come_first(store: Store) -> None:
    last = (await chain(3, store.url))[-1]
    assert await read(last, "failures") == [3, 13, 23]
    assert await read(last, "results") == [index for index in range(30) if index % 10 != 3]
    unordered = await read(last, "results", ordered=False)
    assert [index // 10 for index in unordered] == sorted(index // 10 for index in unordered)
    for index, kind in ((0, "results"), (13, "failures"), (29, "results")):
        found = await reading.find_row(last, index)
        assert found is not None
        assert (found[0], found[1]["index"]) == (kind, index)
    assert await reading.find_row(last, 30) is None
    by_key = await reading.find_key(last, "k3")
    assert by_key is not None
    assert by_key[0] == "failures"


async def test_a_chain_that_comes_back_to_itself_is_refused(memory: Store) -> None:
    await markers.claim(memory, replace(outputs.record(), previous=memory.url))
    with pytest.raises(StoreError, match="continue itself"):
        await read(memory, "results")


async def test_a_chain_whose_past_was_deleted_says_so(memory: Store) -> None:
    await markers.claim(memory, replace(outputs.record(), previous=memory.url + "-gone"))
    with pytest.raises(StoreError, match="output-gone/_RUN"):
        await read(memory, "results")


async def test_of_a_live_partition_whose_workflow_was_reset_the_later_plan_is_read(memory: Store) -> None:
    await markers.claim(memory, outputs.record())
    await batch(memory, 0, 0, 0, 4, planner="old", written=100.0)
    await batch(memory, 0, 1, 4, 4, planner="old", written=101.0)
    await batch(memory, 0, 2, 8, 4, planner="old", written=109.0)
    await batch(memory, 0, 1, 4, 2, planner="new", written=105.0, failed=[5])
    assert await read(memory, "results") == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert await read(memory, "failures") == [5]
    assert (await reading.committed(memory)).done == 10
