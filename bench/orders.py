"""How soon orders hold in a run with many live partitions: items note when they run, histories when batches began."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

import fanout
from bench.histories import executions
from bench.jobs import nap, number
from bench.occupancy import Interval, read
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import QUEUE, Stage, stage
from fanout import wire

EACH = 5
"""Items in flight in each live partition."""

SECONDS = 1.0
"""Of an item."""

WATCHED = 10.0
"""Seconds for which each order is watched."""

NEARLY = 0.95
"""Share of a limit at which it counts as reached."""

SOON = 5.0
REACHED_WITHIN = 180.0


@dataclass(frozen=True)
class Moment:
    """When an order was given.

    Attributes:
        wall: In seconds since the epoch, as histories have it.
        clock: In nanoseconds of the machine's monotonic clock, as items note it.
    """

    wall: float
    clock: int

    @classmethod
    def now(cls) -> Moment:
        """Return this moment."""
        return cls(time.time(), time.monotonic_ns())


@dataclass(frozen=True)
class _Shape:
    """What came of the orders to a run of one shape."""

    name: str
    figures: list[Figure]
    raw: dict[str, Any]


async def measure(sizes: Sizes) -> Report:
    """Pause runs of two shapes, let them go on, lower their limit to a twentieth, and raise it again."""
    live = sizes.live_partitions
    limit = EACH * live
    many = {
        "batch_concurrency": 2,
        # Few begin by themselves.
        "batch_seconds": 60,
        "partition_size": 200 * EACH,
        "max_children": max(2, live // 2),
    }
    async with stage(options=["--max-batches", str(limit)]) as here:
        here.forget(await here.run(number, fanout.Range(100), id="warm-up"))
        shapes = [await _shape(here, limit, 1, {}), await _shape(here, limit, live, many)]
    return Report(
        title=f"{limit:,} items of {SECONDS:g} s in flight, two worker processes",
        figures=[figure for shape in shapes for figure in shape.figures],
        raw={shape.name: shape.raw for shape in shapes},
    )


async def _shape(here: Stage, high: int, live: int, options: dict[str, Any]) -> _Shape:
    """Give a run its orders; return what came of each."""
    run_id, low = f"orders-{live}", max(1, high // 20)
    log = here.folder / run_id
    log.mkdir()
    run = await fanout.start(
        here.client,
        nap,
        fanout.Range(400 * high),
        id=run_id,
        task_queue=QUEUE,
        max_concurrency=high,
        params={"seconds": SECONDS, "log": str(log)},
        **options,
    )
    partitions = await _reached(run, high, live)
    paused = Moment.now()
    await run.pause()
    await asyncio.sleep(WATCHED)
    resumed = Moment.now()
    await run.resume()
    await _reached(run, high, live)
    lowered = Moment.now()
    await run.update(max_concurrency=low)
    await asyncio.sleep(WATCHED)
    raised = Moment.now()
    await run.update(max_concurrency=high)
    await asyncio.sleep(WATCHED)
    ended = Moment.now()
    await run.terminate()
    begun = [at for at in await _batches(here.client, run_id) if paused.wall < at < resumed.wall]
    steps = list(_steps(read(log)))
    down = [(at, count) for at, count in steps if lowered.clock <= at < raised.clock]
    up = [(at, count) for at, count in steps if raised.clock <= at < ended.clock]
    at_low = next((at for at, count in down if count <= low), raised.clock)
    at_high = next((at for at, count in up if count >= NEARLY * high), ended.clock)
    name = f"{partitions} live partition{'s' if partitions > 1 else ''}"
    soon = Target("≤", SOON)
    figures = [
        Figure(
            f"{name}: pause, until the last batch began",
            max(begun, default=paused.wall) - paused.wall,
            "s",
            target=soon,
        ),
        Figure(
            f"{name}: {high:,} to {low:,}, until so few are in flight", (at_low - lowered.clock) / 1e9, "s"
        ),
        Figure(
            f"{name}: most that in flight rose on the way down",
            _rise(count for at, count in down if at <= at_low),
            "items",
        ),
        Figure(
            f"{name}: {low:,} to {high:,}, until {NEARLY:.0%} of them are in flight",
            (at_high - raised.clock) / 1e9,
            "s",
            target=soon,
        ),
        Figure(
            f"{name}: most in flight at any moment",
            max(count for _, count in steps),
            "items",
            target=Target("≤", high, must=True),
        ),
    ]
    raw = {
        "down": _each_second(down, lowered.clock),
        "up": _each_second(up, raised.clock),
        "begun_after_pause": dict(Counter(int(at - paused.wall) for at in begun)),
    }
    return _Shape(name, figures, raw)


async def _reached(run: fanout.Run, limit: int, live: int) -> int:
    """Wait until nearly as many items are in flight as may be; return how many partitions live then."""
    deadline = time.monotonic() + REACHED_WITHIN
    while True:
        now = await run.progress()
        if now.in_flight >= NEARLY * limit and now.partitions >= live:
            return now.partitions
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{now.in_flight} items in flight in {now.partitions} partitions, not {limit} in {live}"
            )
        await asyncio.sleep(1)


async def _batches(client: Client, run_id: str) -> list[float]:
    """Return when the run's batches were scheduled, in seconds since the epoch."""
    found: list[float] = []
    for one in await executions(client, run_id, at_least=2):
        if one.kind != wire.PARTITION_WORKFLOW:
            continue
        handle = client.get_workflow_handle(one.workflow_id, run_id=one.execution)
        found += [
            event.event_time.ToNanoseconds() / 1e9
            async for event in handle.fetch_history_events()
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        ]
    return found


def _steps(intervals: Iterable[Interval]) -> Iterable[tuple[int, int]]:
    """Yield how many were in flight, and since when; at one moment those that end go first."""
    edges = [edge for begin, end in intervals for edge in ((begin, 1), (end, -1))]
    count = 0
    for at, change in sorted(edges):
        count += change
        yield at, count


def _rise(counts: Iterable[int]) -> int:
    lowest, rise = None, 0
    for count in counts:
        lowest = count if lowest is None else min(lowest, count)
        rise = max(rise, count - lowest)
    return rise


def _each_second(steps: list[tuple[int, int]], since: int) -> list[int]:
    """Return how many were in flight at the end of each second."""
    last: dict[int, int] = {}
    for at, count in steps:
        last[int((at - since) / 1e9)] = count
    return [last[second] for second in sorted(last)]
