"""The processes of `executor="process"` by themselves: what is given early, and whose fault a death is."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

import fanout
from fanout.children.window import current_slot
from fanout.iteminfo import Info, current
from fanout.workers.item_processes import ItemProcesses
from tests.processes import is_alive
from tests.waiting import eventually

Call = Callable[[str], Coroutine[Any, Any, Any]]


@fanout.processor(name="by-word", executor="process")
def obey(word: str, *, folder: str) -> int:
    """Note the run, and do what the item says: `die`, `wait` for a file, or return at once."""
    what, _, name = word.partition(" ")
    with Path(folder, f"ran-{name}").open("ab", buffering=0) as file:
        file.write(b".")
    if what == "die":
        os._exit(3)
    while what == "wait" and not Path(folder, f"go-{name}").exists():
        time.sleep(0.005)
    return os.getpid()


@pytest.fixture(name="call")
def only_process(tmp_path: Path) -> Iterator[Call]:
    """Run an item in the only process there is."""
    item = current.set(lambda: Info("run", 0, "0", 1, "key", "by-word"))
    slot = current_slot.set(SimpleNamespace(waited=0.0, waiting=False, since=0.0, positions=[0]))
    processes = ItemProcesses(obey, 1)
    run = processes.bind({"folder": str(tmp_path)})

    async def call(word: str) -> Any:
        return await run(word)

    yield call
    processes.close()
    current_slot.reset(slot)
    current.reset(item)


async def _get_used_to_short_items(call: Call) -> None:
    for number in range(30):
        await call(f"do early-{number}")


def _block_until(condition: Callable[[], bool]) -> None:
    """Wait without letting the event loop go on, in which nothing can be given then."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_a_process_goes_on_with_short_items_while_the_event_loop_is_busy(
    call: Call, tmp_path: Path
) -> None:
    await _get_used_to_short_items(call)
    items = [asyncio.create_task(call(f"wait {name}")) for name in "ab"]
    await eventually((tmp_path / "ran-a").exists)
    assert not (tmp_path / "ran-b").exists()
    (tmp_path / "go-a").touch()
    _block_until((tmp_path / "ran-b").exists)
    (tmp_path / "go-b").touch()
    await asyncio.gather(*items)


async def test_items_behind_those_that_kill_are_none_of_the_culprits(call: Call, tmp_path: Path) -> None:
    await _get_used_to_short_items(call)
    words = [f"die {number}" if number % 2 else f"do {number}" for number in range(6)]
    outcomes = await asyncio.gather(*map(call, words), return_exceptions=True)
    assert [isinstance(outcome, ApplicationError) for outcome in outcomes] == [False, True] * 3
    runs = [(tmp_path / f"ran-{number}").stat().st_size for number in range(6)]
    assert runs == [1, 2] * 3


async def test_what_is_cut_off_while_it_waits_does_not_cut_off_what_runs(call: Call, tmp_path: Path) -> None:
    await _get_used_to_short_items(call)
    running, waiting, behind = (asyncio.create_task(call(f"wait {name}")) for name in "abc")
    await eventually((tmp_path / "ran-a").exists)
    waiting.cancel()
    for name in "ac":
        (tmp_path / f"go-{name}").touch()
    first, second = await asyncio.gather(running, behind)
    assert first != second
    assert (tmp_path / "ran-a").stat().st_size == (tmp_path / "ran-c").stat().st_size == 1
    await eventually(lambda: not is_alive(first))


async def test_a_process_whose_item_is_cut_off_is_ended_at_once(call: Call, tmp_path: Path) -> None:
    pid = await call("do first")
    running = asyncio.create_task(call("wait a"))
    await eventually((tmp_path / "ran-a").exists)
    running.cancel()
    await eventually(lambda: not is_alive(pid))
    assert await call("do second") != pid
