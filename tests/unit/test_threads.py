"""The threads of a worker: they make up for those that hang, within a bound, and hold no process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from fanout.workers.threads import Threads
from tests.waiting import eventually


class Gates:
    """Jobs that wait until they are let go."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self.begun = 0
        self.ended = 0
        self.go = threading.Event()

    def add(self, number: int) -> None:
        for _ in range(number):
            self.threads.submit(self.job)

    def job(self) -> None:
        self.begun += 1
        self.go.wait(20)
        self.ended += 1


@pytest.fixture
def gates() -> Iterator[Gates]:
    made = Gates(Threads(2))
    yield made
    made.go.set()
    made.threads.close()


async def test_no_more_jobs_run_at_once_than_there_are_threads(gates: Gates) -> None:
    gates.add(5)
    await eventually(lambda: gates.begun == 2)
    gates.go.set()
    await eventually(lambda: gates.ended == 5)


async def test_a_thread_that_hangs_is_made_up_for_until_as_many_hang_again(gates: Gates) -> None:
    told: list[str] = []
    gates.threads.on_exhausted = told.append
    gates.add(9)
    for lost in (1, 2):
        gates.threads.lose("slow")
        await eventually(lambda: gates.begun == 2 + lost)  # noqa: B023 - used at once
    assert told == []
    gates.threads.lose("slow")
    gates.threads.lose("other")
    assert gates.begun == 4
    assert len(told) == 1
    assert "3 threads hang" in told[0]
    assert "3 in slow" in told[0]


async def test_a_thread_that_comes_back_is_not_made_up_for_any_more(gates: Gates) -> None:
    gates.add(2)
    gates.threads.lose("slow")
    gates.threads.regain("slow")
    assert gates.threads.hanging == 0
    gates.go.set()
    await eventually(lambda: gates.ended == 2)
    gates.go.clear()
    gates.add(4)
    await eventually(lambda: gates.begun == 4)


def test_closed_threads_take_no_job(gates: Gates) -> None:
    gates.threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        gates.add(1)


def test_a_thread_that_hangs_does_not_keep_the_interpreter() -> None:
    code = """
import threading
from fanout.workers.threads import Threads
begun = threading.Event()
def hang():
    begun.set()
    threading.Event().wait()
Threads(1).submit(hang)
begun.wait()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
