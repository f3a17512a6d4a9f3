"""Several worker processes: `max_concurrency` over all of them, and what becomes of a batch whose worker is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import fanout
from fanout.storage.roots import to_path
from tests.integration.engine import Engine, published
from tests.integration.processors_in_workers import timed, timed_list, timed_thread
from tests.integration.workers import Workers
from tests.waiting import eventually


@asynccontextmanager
async def two(workers: Workers) -> AsyncIterator[None]:
    await asyncio.gather(workers.start(), workers.start())
    yield
    await workers.stop()


def in_flight(intervals: list[tuple[int, int, int]]) -> tuple[int, float]:
    """Return the most items that were in flight at once, and the mean over the middle 60 % of the time."""
    first, last = min(i[0] for i in intervals), max(i[1] for i in intervals)
    low, high = first + 0.2 * (last - first), first + 0.8 * (last - first)
    steps = sorted([(begin, 1) for begin, _, _ in intervals] + [(end, -1) for _, end, _ in intervals])
    now = peak = 0
    area, before = 0.0, float(first)
    for at, step in steps:
        area += now * max(0.0, min(at, high) - max(before, low))
        now += step
        peak = max(peak, now)
        before = at
    return peak, area / (high - low)


# Batches of a second or two: shorter ones show how quick the server is, and not what the window holds.
SHAPES: dict[str, tuple[Any, int, float, dict[str, Any]]] = {
    "one partition": (timed, 3200, 0.06, {"max_concurrency": 50, "batch_size": 200}),
    "many partitions": (timed, 3000, 0.06, {"max_concurrency": 50, "batch_size": 375, "partition_size": 750}),
    "one batch": (timed, 300, 0.06, {"max_concurrency": 10, "batch_size": 10_000, "batch_concurrency": 10}),
    "one item a batch": (timed, 40, 1.5, {"max_concurrency": 10, "batch_size": 1}),
    "an odd number": (timed, 1000, 0.06, {"max_concurrency": 17, "batch_concurrency": 5, "batch_size": 125}),
    "threads": (timed_thread, 1500, 0.06, {"max_concurrency": 30, "batch_size": 125}),
    "lists": (timed_list, 900, 0.1, {"max_concurrency": 30, "batch_concurrency": 15, "batch_size": 225}),
}


@pytest.mark.alone  # it measures how full the window is
async def test_max_concurrency_is_reached_and_never_exceeded_whatever_the_shape(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(timed, timed_thread, timed_list)
    found = {}
    took_part: set[str] = set()
    async with two(workers):
        for name, (processor, items, seconds, options) in SHAPES.items():
            workers.clear()
            run = await engine.start(
                client,
                processor,
                fanout.Range(items),
                params={"seconds": seconds},
                **options,
            )
            result = await run.result()
            assert result.succeeded == items
            intervals = workers.intervals()
            assert sorted(index for _, _, index in intervals) == list(range(items))
            found[name] = (options["max_concurrency"], *in_flight(intervals))
            took_part |= {path.name for path in workers.log.glob("*.log")}
    wrong = {
        name: numbers
        for name, numbers in found.items()
        if numbers[1] > numbers[0] or numbers[2] < 0.9 * numbers[0]
    }
    assert not wrong, found
    # A shape of few batches may fall to one process; all of them together do not.
    assert len(took_part) == 2


async def test_a_worker_that_is_killed_loses_no_item_and_none_has_two_outcomes(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(timed)
    first, _ = await asyncio.gather(workers.start(), workers.start())
    run = await engine.start(
        client, timed, fanout.Range(400), params={"seconds": 0.1}, max_concurrency=20, batch_size=20,
        batch_concurrency=5, partition_size=150, heartbeat_timeout=1,
    )  # fmt: skip
    await eventually(lambda: len(workers.intervals()) > 60)
    first.kill()
    result = await asyncio.wait_for(run.result(), 60)
    assert (result.succeeded, result.failed) == (400, 0)
    assert [row.index async for row in run.results(ordered=True)] == list(range(400))
    assert sorted(published(to_path(result.output))) == list(range(400))


async def test_a_worker_that_is_stopped_and_goes_on_as_a_zombie_changes_nothing(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(timed)
    zombie = await workers.start()
    run = await engine.start(
        client, timed, fanout.Range(60), params={"seconds": 0.2}, max_concurrency=10, batch_size=20,
        batch_concurrency=5, heartbeat_timeout=1,
    )  # fmt: skip
    await eventually(lambda: len(workers.intervals()) >= 10)
    zombie.send_signal(signal.SIGSTOP)
    await workers.start()
    await eventually(lambda: len(workers.intervals()) >= 30, within=30)
    zombie.send_signal(signal.SIGCONT)
    result = await asyncio.wait_for(run.result(), 60)
    await workers.stop()
    assert (result.succeeded, result.failed) == (60, 0)
    folder = to_path(result.output)
    assert [row.index async for row in run.results(ordered=True)] == list(range(60))
    assert sorted(published(folder)) == list(range(60))
    left = [path for path in Path(folder).rglob("*.jsonl") if path.parent.name not in ("results", "failures")]
    assert not left, "the zombie left its data behind"
