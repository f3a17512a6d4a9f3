"""The rate limit of a run, over real worker processes, judged by the server that the items ask."""

from __future__ import annotations

import asyncio
import bisect
import os
import signal
import sys
import time
import types
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

import fanout
from fanout.children.book import Book
from fanout.children.isolation import WAYS
from fanout.children.quarantine import QuarantineWindow
from fanout.options import Options
from fanout.readers.range import Numbered
from fanout.storage.rests import Items
from tests.integration import counting_server as server
from tests.integration.counting_server import asked, counting_server
from tests.integration.engine import Engine
from tests.waiting import eventually

PROCESSES = 4


@asynccontextmanager
async def worker(engine: Engine, port: int) -> AsyncIterator[None]:
    """Run `fanout worker` with its processes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fanout.cli", "worker", "tests.integration.counting_server"),
        *("--processes", str(PROCESSES), "--task-queue", engine.queue, "--store", str(engine.store)),
        *("--address", engine.server.address, "--namespace", engine.server.namespace),
        env={**os.environ, "FANOUT_TEST_PORT": str(port)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    ready = 0
    while ready < PROCESSES:
        line = await process.stderr.readline()
        assert line, "the worker has ended"
        ready += b"worker ready" in line
    draining = asyncio.create_task(process.stderr.read())
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
        await draining


def largest_second(times: Sequence[float]) -> int:
    """Return the most arrivals within any second, whenever it begins."""
    return max((bisect.bisect_left(times, at + 1) - n for n, at in enumerate(times)), default=0)


def between(times: Sequence[float], begin: float, end: float) -> Sequence[float]:
    return times[bisect.bisect_left(times, begin) : bisect.bisect_left(times, end)]


def most(rate: float, calls: int = PROCESSES) -> float:
    """Return what the documentation allows in a second: a tenth more, and a call's items for each worker process."""
    return 1.1 * rate + calls


@pytest.mark.alone  # a machine that is busy delays what was let begin
async def test_a_limit_holds_over_four_worker_processes_is_used_and_follows_updates(engine: Engine) -> None:
    with counting_server() as counting:
        client = await engine.client(asked)
        async with worker(engine, counting.port):
            run = await engine.start(client, asked, fanout.Range(100_000))
            await eventually(lambda: _some(run), within=20)
            phases = []
            for rate, order, seconds in ((200, None, 7), (50, "50/s", 5), (200, "200/s", 7)):
                if order is not None:
                    assert (await run.update(rate_limit=order)).taken
                    # Batches hear of it within a second, and end.
                    await asyncio.sleep(2)
                begin = time.monotonic()
                await asyncio.sleep(seconds)
                phases.append((rate, begin, time.monotonic()))
            effects = [event.effect for event in await run.events()]
            await run.cancel()
            with pytest.raises(fanout.RunFailed):
                await run.result()
        came = counting.arrivals()
    assert effects == ["rate_limit is 50/s", "rate_limit is 200/s, was 50/s"]
    arrived, begun = [one.at for one in came], sorted(one.begun for one in came)
    late = max(one.at - one.begun for one in came)
    found = []
    for rate, begin, end in phases:
        there = between(arrived, begin, end)
        at_once = largest_second(there), largest_second(between(begun, begin, end))
        found.append((rate, round(len(there) / (rate * (end - begin)), 3), *at_once))
    print(found, largest_second(arrived), largest_second(begun), round(late, 3))  # noqa: T201 - shown by -s
    # Also while an update spreads no more begin than the higher limit allows.
    assert largest_second(begun) <= most(200)
    assert largest_second(arrived) <= most(200) + 200 * late
    for rate, used, most_came, most_begun in found:
        assert used >= 0.95, found
        assert most_begun <= most(rate), found
        # A request that was long on its way arrives together with later ones.
        assert most_came <= most(rate) + rate * late, found


async def _some(run: fanout.Run) -> bool:
    return (await run.progress()).in_flight > 0


KINDS: list[fanout.Processor[..., Any]] = [
    server.asked,
    server.asked_thread,
    server.asked_process,
    server.asked_list,
    server.asked_list_process,
]


async def test_processors_of_all_kinds_keep_to_the_limit_of_their_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting_server() as counting:
        monkeypatch.setenv("FANOUT_TEST_PORT", str(counting.port))
        async with engine.worker(*KINDS, processes=2) as client:
            runs = [
                await engine.start(client, kind, fanout.Range(40), rate_limit="30/s", retries=0)
                for kind in KINDS
            ]
            for run in runs:
                result = await run.result()
                assert result.succeeded == 40
        came = counting.arrivals()
    for kind in KINDS:
        # Of a list, each item says for itself when it began.
        name, size = ("asked" if kind is server.asked_list else kind.name), kind.list_size or 1
        begun = sorted(one.begun for one in came if one.what == name)
        allowed = 2 * most(30, size) if name == "asked" else most(30, size)
        assert largest_second(begun) <= allowed, kind


async def test_cells_keep_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    book = Book(
        run_id="run",
        processor=server.asked_and_died,
        options=Options(retries=0),
        key=None,
        items=[Items(0, 24)],
        parts=[Numbered(range(24), 0)],
        worker="me",
    )
    with counting_server() as counting:
        window = QuarantineWindow(book, {"port": counting.port}, limit=10, deadline=60, rate=20)
        await window.run()
        came = counting.arrivals()
    assert sorted(book.failures) == [8]
    assert not book.unsettled()
    begun = sorted(one.begun for one in came)
    assert largest_second(begun) <= most(20, 0)
    assert begun[-1] - begun[0] >= (len(begun) - 1 - 2) / 20
    # Suspects run in so many cells at once, and the limit is that of all of them.
    assert (window._order([0], False).rate, WAYS * window._order([0], True).rate) == (20, 20)


SHAPES: dict[str, dict[str, Any]] = {
    "in the root": {},
    "groups": {"partition_size": 150, "max_children": 2, "max_concurrency": 10},
}


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
async def test_a_limit_is_set_lowered_and_lifted_while_the_run_goes_on(
    engine: Engine, options: dict[str, Any]
) -> None:
    times: list[float] = []

    async def work(number: int) -> int:
        times.append(time.monotonic())
        await asyncio.sleep(0.05)
        return number

    async with engine.worker(processor := fanout.processor(work, name="limited")) as client:
        run = await engine.start(client, processor, fanout.Range(900), rate_limit="60/s", **options)
        await eventually(lambda: len(times) > 60)
        event = await run.update(rate_limit="1200/min", reason="the service is slow")
        assert event.effect == "rate_limit is 1200/min"
        # Batches hear of it within a second, and end.
        await asyncio.sleep(1.5)
        before = len(times)
        await asyncio.sleep(1.5)
        assert 0 < len(times) - before <= most(1.5 * 20, 1)
        again = await run.update(rate_limit="1200/min", max_concurrency=50)
        assert again.effect == "max_concurrency is 50; rate_limit is 1200/min already"
        assert not again.refused
        lifted = await run.update(rate_limit="none")
        assert lifted.effect == "rate_limit is none, was 1200/min"
        began = time.monotonic()
        assert (await run.result()).succeeded == 900
        assert time.monotonic() - began < 0.9 * (900 - before) / 20
    assert len(times) == 900
    assert largest_second(times[:before]) <= most(60, 1)


async def test_a_slow_rate_spaces_items_evenly_from_batch_to_batch_and_outlives_continuing_as_new(
    engine: Engine,
) -> None:
    times: list[float] = []

    async def work(number: int) -> int:
        times.append(time.monotonic())
        return number

    processor = fanout.processor(work, name="slow")
    # What one of the two owes the other does not know.
    async with engine.worker(processor) as client, engine.worker(processor):
        run = await engine.start(
            client, processor, fanout.Range(14), rate_limit="180/min", batch_seconds=0.3, history_limit=100
        )
        await run.result()
        (partition,) = (await engine.histories(run)).children
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert min(pauses) > 1 / 3 - 0.02
    assert times[-1] - times[0] < 14 / 3 + 3
    assert partition.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) >= 13
