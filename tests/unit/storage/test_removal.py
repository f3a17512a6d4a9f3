"""Removing outputs: only what its marker names, all of it, and again after a crash."""

from __future__ import annotations

import pytest

from fanout.compensation import Undone
from fanout.errors import ObjectMissing, StoreError
from fanout.storage import codec, markers, removal
from fanout.storage.layout import MANIFEST, RUN, staged_path
from fanout.storage.records import Manifest
from fanout.storage.removal import Extent
from fanout.storage.roots import to_path
from fanout.storage.stores import Store, open_store
from tests.unit.storage.outputs import record, run_result


async def output(store: Store, run_id: str, execution: str, **known: object) -> Store:
    """Make a small output, with staged items."""
    made = open_store(f"{store.url}/{run_id}/{execution}")
    run = record(nonce=execution, run_id=run_id, execution=execution, **known)
    await markers.claim(made, run)
    await made.create("results/part-000000-00000.jsonl", b"12345")
    await made.create(MANIFEST, codec.encode(Manifest(run, run_result(1, 1, 0), [], "2026-01-01", "1")))
    await store.create(f"{staged_path(run_id, execution)}/000000.jsonl", b"123")
    return made


async def paths(store: Store) -> list[str]:
    return [stored.path for stored in await store.list()]


async def test_only_what_its_marker_names_is_an_output(store: Store) -> None:
    await output(store, "urls", "e1")
    await output(store, "urls", "e2")
    copied = open_store(f"{store.url}/urls/copy")
    await copied.create(RUN, codec.encode(record(run_id="urls", execution="e1")))
    await store.create("urls/odd/_RUN", b"my own notes")
    await store.create("notes/e1/readme", b"")
    await store.create("-/e1/_RUN", b"")
    found = await removal.find_all(store.url)
    assert [one.url for one in found] == [f"{store.url}/urls/e1", f"{store.url}/urls/e2"]
    assert all(one.manifest is not None for one in found)


async def test_an_output_is_removed_with_its_staged_items_and_nothing_else(store: Store) -> None:
    gone = await output(store, "urls", "e1")
    await output(store, "urls", "e2")
    await store.create("urls/notes", b"mine")
    before = await paths(store)
    one = next(found for found in await removal.find_of(store.url, "urls") if found.url == gone.url)
    extent = await removal.measure(one)
    assert extent.objects == 4
    assert extent.bytes > 8
    assert await removal.remove(one) == extent
    left = await paths(store)
    assert left == [path for path in before if "e1" not in path]
    assert await removal.remove(one) == Extent()


async def test_a_marker_goes_last_so_that_what_was_cut_off_is_found_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await output(store, "urls", "e1")
    [one] = await removal.find_of(store.url, "urls")
    delete = type(made).delete

    async def failing(self: Store, *names: str) -> None:
        await delete(self, *names)
        if MANIFEST in names:
            raise StoreError("gone away")

    with monkeypatch.context() as patch:
        patch.setattr(type(made), "delete", failing)
        with pytest.raises(StoreError):
            await removal.remove(one)
    assert await paths(made) == [RUN]
    [again] = await removal.find_of(store.url, "urls")
    await removal.remove(again)
    assert await paths(store) == []


async def test_a_marker_that_was_deleted_is_not_remembered(store: Store) -> None:
    made = await output(store, "urls", "e1")
    await markers.load_run(made, None)
    [one] = await removal.find_of(store.url, "urls")
    await removal.remove(one)
    with pytest.raises(StoreError):
        await markers.load_run(made, None)
    with pytest.raises(ObjectMissing):
        await made.read(RUN)


async def test_no_folder_is_left_on_a_disk_and_the_store_can_be_written_again(local: Store) -> None:
    await output(local, "urls", "e1")
    [one] = await removal.find_of(local.url, "urls")
    await removal.remove(one)
    assert [path for path in to_path(local.url).iterdir() if path.name != ".tmp"] == []
    await output(local, "urls", "e1")
    assert len(await removal.find_of(local.url, "urls")) == 1


async def test_what_a_kept_output_continues_is_needed(memory: Store) -> None:
    first = await output(memory, "urls", "e1")
    second = await output(memory, "urls", "e2", previous=first.url)
    third = await output(memory, "urls", "e3", previous=second.url)
    known = {one.url: one for one in await removal.find_all(memory.url)}
    assert removal.needed([known[third.url]], known) == {first.url, second.url}
    assert removal.needed([known[first.url]], known) == set()
    undoing = await output(memory, "urls.compensation", "e4", undone=Undone("urls", second.url))
    known = {one.url: one for one in await removal.find_all(memory.url)}
    assert removal.needed([known[undoing.url]], known) == {first.url, second.url}
