"""One contract for every sort of store."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from fanout.errors import ObjectExists, ObjectMissing, StoreError, UsageError
from fanout.storage.stores import Store, StoredObject, open_store


async def test_an_object_is_read_as_it_was_created(store: Store) -> None:
    await store.create("a/b.json", b"one")
    await store.create("a/c.json", [b"two", b"", b"three"])
    await store.create("empty", b"")
    assert await store.read("a/b.json") == b"one"
    assert await store.read("a/c.json") == b"twothree"
    assert await store.read("empty") == b""
    assert await store.exists("a/b.json")
    assert not await store.exists("a/x.json")
    assert not await store.exists("a/b.json/x")


async def test_an_object_is_never_replaced(store: Store) -> None:
    await store.create("a", b"one")
    with pytest.raises(ObjectExists, match="a exists"):
        await store.create("a", b"two")
    await store.create_own("a", b"one")
    assert await store.read("a") == b"one"


async def test_of_twenty_creators_at_once_one_wins(store: Store) -> None:
    async def create(number: int) -> int | None:
        try:
            await store.create("c/key", str(number).encode())
        except ObjectExists:
            return None
        return number

    winners = [number for number in await asyncio.gather(*map(create, range(20))) if number is not None]
    assert len(winners) == 1
    assert await store.read("c/key") == str(winners[0]).encode()


async def test_ranges_end_where_the_object_does(store: Store) -> None:
    await store.create("a", b"0123456789")
    await store.create("empty", b"")
    assert await store.read_range("a", 2, 5) == b"234"
    assert await store.read_range("a", 8, 100) == b"89"
    assert await store.read_range("a", 10, 12) == b""
    assert await store.read_range("a", 50, 60) == b""
    assert await store.read_range("a", 3, 3) == b""
    assert await store.read_range("empty", 0, 10) == b""
    for low, high in ((5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="no range"):
            await store.read_range("a", low, high)


async def test_missing_objects_say_so(store: Store) -> None:
    for request in (store.read("x/y"), store.read_range("x/y", 0, 5), store.read_range("x/y", 3, 3)):
        with pytest.raises(ObjectMissing, match="x/y"):
            await request
    await store.delete("x/y", "x/z")
    await store.delete()
    assert await store.list("x") == []


async def test_a_folder_is_listed_by_path_with_those_below_it(store: Store) -> None:
    for path in ("c/000002/b", "c/000002/a", "c/000010/a", "c/0000021", "d/x"):
        await store.create(path, path.encode())
    assert await store.list("c/000002") == [StoredObject("c/000002/a", 10), StoredObject("c/000002/b", 10)]
    assert [stored.path for stored in await store.list("c/")] == [
        "c/000002/a",
        "c/000002/b",
        "c/0000021",
        "c/000010/a",
    ]
    assert len(await store.list()) == 5
    assert await store.list("nothing") == []


async def test_names_are_kept_as_they_are(store: Store) -> None:
    path = "run~a@1+=:-._/é #?%20 [x]&.json"
    await store.create(path, b"x")
    assert await store.read(path) == b"x"
    assert await store.list() == [StoredObject(path, 1)]


async def test_one_source_is_published_under_another_name(store: Store) -> None:
    await store.create("data/a", b"rows")
    await store.publish(["data/a"], "results/a")
    await store.publish(["data/a"], "results/a")
    await store.delete("data/a")
    await store.publish(["data/a"], "results/a")
    assert await store.read("results/a") == b"rows"
    assert [stored.path for stored in await store.list()] == ["results/a"]


async def test_several_sources_are_published_as_one(store: Store) -> None:
    for name in "abc":
        await store.create(f"data/{name}", name.encode())
    sources = ["data/a", "data/b", "data/c"]
    await asyncio.gather(*(store.publish(sources, "results/abc") for _ in range(5)))
    await store.delete("data/b")
    await store.publish(sources, "results/abc")
    assert await store.read("results/abc") == b"abc"
    assert await store.list("results") == [StoredObject("results/abc", 3)]


async def test_a_source_that_is_gone_is_named_unless_it_was_published(store: Store) -> None:
    await store.create("data/a", b"a")
    for sources in (["data/x"], ["data/a", "data/x"]):
        with pytest.raises(ObjectMissing, match="data/x"):
            await store.publish(sources, "results/x")
    assert await store.list("results") == []


async def test_a_foreign_target_is_not_taken_for_the_published_one(store: Store) -> None:
    await store.create("data/a", b"a")
    await store.create("data/b", b"b")
    await store.create("results/x", b"something else")
    for sources in (["data/a"], ["data/a", "data/b"]):
        with pytest.raises(StoreError, match="something else wrote it"):
            await store.publish(sources, "results/x")


async def test_paths_do_not_lead_out_of_the_store(store: Store) -> None:
    await store.create("a", b"x")
    for path in ("../a", "/etc/passwd", "a/../../b", "", "a//b", "./a"):
        for request in (
            store.create(path, b""),
            store.read(path),
            store.read_range(path, 0, 1),
            store.delete(path),
            store.exists(path),
            store.publish([path], "b"),
            store.publish(["a"], path),
        ):
            with pytest.raises(UsageError):
                await request
    with pytest.raises(UsageError):
        await store.list("../a")


async def test_many_objects_are_listed_and_deleted(store: Store) -> None:
    paths = [f"n/{number:04}" for number in range(60)]
    await asyncio.gather(*(store.create(path, b"x") for path in paths))
    assert [stored.path for stored in await store.list("n")] == paths
    await store.delete(*paths, "n/none")
    assert await store.list() == []


def test_a_store_serves_several_event_loops_one_after_the_other(store: Store) -> None:
    async def use(path: str) -> bytes:
        await store.create(path, path.encode())
        return await store.read(path)

    assert [asyncio.run(use(path)) for path in ("a", "b")] == [b"a", b"b"]


def test_the_same_url_opens_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_store(str(tmp_path)) is open_store(f"file://{tmp_path}/")
    monkeypatch.chdir(tmp_path)
    first = open_store("output")
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    assert open_store("output") is not first


def test_an_output_cannot_be_a_web_address() -> None:
    with pytest.raises(UsageError, match="cannot hold an output"):
        open_store("https://host/x")


def test_memory_stores_of_one_name_share_their_objects() -> None:
    name = uuid.uuid4().hex

    async def use() -> bytes:
        await open_store(f"memory://{name}/a").create("b/c", b"x")
        return await open_store(f"memory://{name}/a/b").read("c")

    assert asyncio.run(use()) == b"x"
