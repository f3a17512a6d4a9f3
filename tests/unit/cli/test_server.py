from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fanout.cli import server
from fanout.cli.server import Found


@contextmanager
def alive(folder: Path, address: str = "127.0.0.1:1") -> Iterator[None]:
    """Hold the lock that a dev server holds as long as it lives."""
    server.prepare(folder)
    with (folder / ".fanout" / "temporal.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(address)
        lock.flush()
        yield


def test_nothing_runs_in_an_empty_folder(tmp_path: Path) -> None:
    assert server.running(tmp_path) is None


def test_a_recorded_server_is_found_as_long_as_it_lives(tmp_path: Path) -> None:
    found = Found("127.0.0.1:1", "http://127.0.0.1:2", 3)
    with alive(tmp_path):
        server.record(tmp_path, found)
        assert server.running(tmp_path) == found
        server.forget(tmp_path)
        assert server.running(tmp_path) == found
    assert server.running(tmp_path) is None
    server.forget(tmp_path)
    assert not (tmp_path / ".fanout" / "server.json").exists()


def test_a_server_that_others_started_is_used_and_left_alone(tmp_path: Path) -> None:
    with alive(tmp_path, "127.0.0.1:9"):
        assert server.running(tmp_path) == Found("127.0.0.1:9", None, 0, kept=True)
        server.record(tmp_path, Found("127.0.0.1:1", None, 3))
        assert server.running(tmp_path) == Found("127.0.0.1:9", None, 0, kept=True)


async def test_a_kept_server_is_not_stopped_by_who_uses_it(tmp_path: Path) -> None:
    with alive(tmp_path, "127.0.0.1:9"):
        async with server.use(tmp_path) as found:
            assert found.address == "127.0.0.1:9"
        assert server.running(tmp_path) is not None


def test_the_folder_is_kept_out_of_version_control(tmp_path: Path) -> None:
    server.prepare(tmp_path)
    server.prepare(tmp_path)
    assert (tmp_path / ".fanout" / ".gitignore").read_text() == "*\n"
