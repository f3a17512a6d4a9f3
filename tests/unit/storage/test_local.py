"""What only a local folder can do wrong."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import signal
import stat
import warnings
from pathlib import Path

import pytest

from fanout.errors import ObjectExists, ObjectMissing, StoreError, StoreUnavailable
from fanout.storage import disk
from fanout.storage.disk import Disk
from fanout.storage.stores import Store


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
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def traced_link(source: str, target: str) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "link", traced_link)
    await local.create("a/x", b"1")
    # New folders are entries of their parents, which are synced too.
    assert steps.count("sync folder") >= 4
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
    # A full disk gets room again while the run waits; permissions do not change by themselves.
    assert isinstance(caught.value, StoreUnavailable) == (number not in (errno.EROFS, errno.EACCES))
    monkeypatch.undo()
    assert await local.list() == []
    await local.create("a/b", b"x")


async def test_a_rival_that_publishes_in_the_last_moment_is_checked(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local.create("data/a", b"rows")
    await local.create("data/b", b"other rows")
    link = os.link
    rivals = iter(["data/a", "data/b"])

    def overtaken(source: str, target: str) -> None:
        if rival := next(rivals, None):
            copy = source + ".copy"
            Path(copy).write_bytes(Path(source.replace("data/a", rival)).read_bytes())
            link(copy, target)
        link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    await local.publish(["data/a"], "results/a")
    with pytest.raises(StoreError, match="something else wrote it"):
        await local.publish(["data/a"], "results/b")


async def test_a_file_system_that_cannot_sync_folders_is_good_enough(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    await local.create("a", b"x")
    assert await local.read("a") == b"x"


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
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads, which is the very case here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            asyncio.run(local.create("b", b"y"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert asyncio.run(local.read("b")) == b"y"


def test_of_many_processes_that_create_the_same_objects_one_wins_each(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    creators = [context.Process(target=_create_many, args=(str(tmp_path), number)) for number in range(3)]
    for creator in creators:
        creator.start()
    for creator in creators:
        creator.join(60)
    won = [key for number in range(3) for key in (tmp_path / f"won-{number}").read_text().split()]
    assert sorted(map(int, won)) == list(range(60))
    assert len(files(tmp_path / "c")) == 60


def _create_many(root: str, number: int) -> None:
    won = []
    folder = Disk(root)
    for key in range(60):
        try:
            folder.create(f"c/{key}", [str(number).encode()])
            won.append(str(key))
        except ObjectExists:
            pass
    Path(root, f"won-{number}").write_text(" ".join(won))


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
