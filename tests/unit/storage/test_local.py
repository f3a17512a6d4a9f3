"""What only a local folder can do wrong."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from fanout.errors import ObjectExists, ObjectMissing, StoreError
from fanout.storage import disk
from fanout.storage.disk import Disk
from fanout.storage.stores import Store, open_store


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_nothing_but_the_object_is_left_behind(local: Store, tmp_path: Path) -> None:
    await local.create("a/b", b"x")
    with pytest.raises(ObjectExists):
        await local.create("a/b", b"y")
    await local.publish(["a/b", "a/b"], "c/d")
    assert files(tmp_path / "output") == ["a/b", "c/d"]


async def test_one_source_is_linked_not_copied(local: Store, tmp_path: Path) -> None:
    await local.create("data/a", b"x")
    await local.publish(["data/a"], "results/a")
    assert (tmp_path / "output/data/a").samefile(tmp_path / "output/results/a")


async def test_an_object_is_synced_before_its_name_and_the_folder_after(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def traced_fsync(descriptor: int) -> None:
        steps.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        fsync(descriptor)

    def traced_link(source: str, target: str) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "link", traced_link)
    await local.create("a/x", b"1")
    assert steps[-3:-1] == ["sync file", "link"] or steps[-1] == "sync folder"
    steps.clear()
    await local.create("a/y", b"2")
    assert steps == ["sync file", "link", "sync folder"]
    steps.clear()
    await local.publish(["a/x"], "a/z")
    assert steps == ["link", "sync folder"]
    steps.clear()
    # Somebody else's object may have its name, and not yet a synced folder.
    with pytest.raises(ObjectExists):
        await local.create("a/x", b"3")
    assert steps == ["sync folder"]


async def test_an_own_object_that_a_network_file_system_reports_as_existing_is_won(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def answered_twice(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "exists", target)

    monkeypatch.setattr(os, "link", answered_twice)
    await local.create("a", b"x")
    assert await local.read("a") == b"x"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "use a store that can be written"),
        (errno.EIO, "Input/output error"),
        (errno.EACCES, "let the worker's user read and write"),
    ],
)
async def test_errors_of_the_disk_say_where_why_and_what_to_do(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError) as caught:
        await local.create("a/b", b"x")
    assert text in str(caught.value)
    assert f"{tmp_path}/output/a/b" in str(caught.value)
    monkeypatch.undo()
    assert await local.list() == []
    await local.create("a/b", b"x")


async def test_a_file_system_without_hard_links_is_named(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreError, match="without hard links"):
        await local.create("a", b"x")


async def test_a_file_with_too_many_links_is_copied(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await local.create("data/a", b"rows")
    link = os.link

    def full(source: str, target: str) -> None:
        if "data" in source:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    await local.publish(["data/a"], "results/a")
    assert await local.read("results/a") == b"rows"


async def test_a_folder_that_somebody_removed_is_made_again(local: Store, tmp_path: Path) -> None:
    await local.create("a/b/c", b"x")
    (tmp_path / "output").rename(tmp_path / "elsewhere")
    await local.create("a/b/c", b"y")
    assert await local.read("a/b/c") == b"y"
    await local.publish(["a/b/c"], "r/c")
    (tmp_path / "output/r/c").unlink()
    (tmp_path / "output/r").rmdir()
    await local.publish(["a/b/c"], "r/c")
    assert await local.read("r/c") == b"y"


async def test_a_file_where_a_folder_should_be_is_an_error_of_the_store(local: Store) -> None:
    await local.create("a", b"x")
    with pytest.raises(StoreError):
        await local.create("a/b", b"x")
    with pytest.raises(ObjectMissing):
        await local.read("a/b")
    await local.create("c/d", b"x")
    with pytest.raises(StoreError, match="directory"):
        await local.read("c")


async def test_links_are_not_listed(local: Store, tmp_path: Path) -> None:
    await local.create("a", b"x")
    (tmp_path / "output/link").symlink_to("/etc")
    (tmp_path / "output/file").symlink_to("/etc/passwd")
    assert [stored.path for stored in await local.list()] == ["a"]


async def test_old_temporary_files_are_tidied_and_never_listed(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local.tidy()
    await local.create("a", b"x")
    (tmp_path / "output" / disk.TEMPORARY / "left").write_bytes(b"half")
    assert [stored.path for stored in await local.list()] == ["a"]
    await local.tidy()
    assert len(files(tmp_path / "output")) == 2
    monkeypatch.setattr(disk, "TEMPORARY_SECONDS", -10.0)
    await local.tidy()
    assert files(tmp_path / "output") == ["a"]


def test_a_forked_child_can_use_a_store_that_its_parent_has_used(local: Store) -> None:
    asyncio.run(local.create("a", b"x"))
    child = multiprocessing.get_context("fork").Process(target=_create_b, args=(local.url,))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert asyncio.run(local.read("b")) == b"y"


def _create_b(url: str) -> None:
    asyncio.run(open_store(url).create("b", b"y"))


def test_of_many_processes_that_create_the_same_objects_one_wins_each(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        won = pool.starmap(_create_many, [(str(tmp_path / "o"), number) for number in range(8)])
    assert sorted(key for keys in won for key in keys) == list(range(50))
    assert len(files(tmp_path / "o")) == 50


def _create_many(root: str, number: int) -> list[int]:
    won = []
    folder = Disk(root)
    for key in range(50):
        try:
            folder.create(f"c/{key}", [str(number).encode()])
            won.append(key)
        except ObjectExists:
            pass
    return won


def test_a_process_that_is_killed_while_it_writes_leaves_no_partial_object(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    data = b"0123456789abcdef" * 4096
    started = context.Event()
    writer = context.Process(target=_write_for_ever, args=(str(tmp_path), data, started))
    writer.start()
    assert started.wait(20)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(20)
    found = Disk(str(tmp_path)).list("")
    assert found
    assert {stored.size for stored in found} == {len(data)}


def _write_for_ever(root: str, data: bytes, started: multiprocessing.synchronize.Event) -> None:
    folder = Disk(root)
    number = 0
    while True:
        folder.create(f"o/{number}", [data])
        number += 1
        if number == 10:
            started.set()
