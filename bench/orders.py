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
from bench.occupancy import read, steps
from bench.report import Figure, Part, Report, Target
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
class _Moment:
    """When an order was given.

    Attributes:
        wall: In seconds since the epoch, as histories have it.
        clock: In nanoseconds of the machine's monotonic clock, as items note it.
    """

    wall: float
    clock: int


def _now() -> _Moment:
    return _Moment(time.time(), time.monotonic_ns())


@dataclass(frozen=True)
class _Orders:
    """When each order was given, and when watching ended."""

    paused: _Moment
    resumed: _Moment
    lowered: _Moment
    raised: _Moment
    ended: _Moment


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


async def _shape(here: Stage, high: int, live: int, options: dict[str, Any]) -> Part:
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
    orders = await _ordered(run, high, low, live)
    name = f"{partitions} live partition{'s' if partitions > 1 else ''}"
    return _judged(name, high, low, orders, await _batches(here.client, run_id), list(steps(read(log))))


async def _ordered(run: fanout.Run, high: int, low: int, live: int) -> _Orders:
    """Give the orders, and watch each for some seconds; then end the run."""
    paused = _now()
    await run.pause()
    await asyncio.sleep(WATCHED)
    resumed = _now()
    await run.resume()
    await _reached(run, high, live)
    lowered = _now()
    await run.update(max_concurrency=low)
    await asyncio.sleep(WATCHED)
    raised = _now()
    await run.update(max_concurrency=high)
    await asyncio.sleep(WATCHED)
    ended = _now()
    await run.terminate()
    return _Orders(paused, resumed, lowered, raised, ended)


def _judged(
    name: str, high: int, low: int, orders: _Orders, batches: list[float], flying: list[tuple[int, int]]
) -> Part:
    """Return the figures of one shape.

    Args:
        name: The shape's.
        high: The usual limit.
        low: The lowered one.
        orders: When they were given.
        batches: When batches began.
        flying: How many items were in flight, and since when.
    """
    paused = orders.paused.wall
    begun = [at - paused for at in batches if paused < at < orders.resumed.wall]
    down = [(at, count) for at, count in flying if orders.lowered.clock <= at < orders.raised.clock]
    up = [(at, count) for at, count in flying if orders.raised.clock <= at < orders.ended.clock]
    at_low = next((at for at, count in down if count <= low), orders.raised.clock)
    at_high = next((at for at, count in up if count >= NEARLY * high), orders.ended.clock)
    soon = Target("≤", SOON)
    figures = [
        Figure(f"{name}: pause, until the last batch began", max(begun, default=0), "s", target=soon),
        Figure(
            f"{name}: {high:,} to {low:,}, until so few are in flight",
            (at_low - orders.lowered.clock) / 1e9,
            "s",
        ),
        Figure(
            f"{name}: most that in flight rose on the way down",
            _rise(count for at, count in down if at <= at_low),
            "items",
            target=Target("≤", 0),
        ),
        Figure(
            f"{name}: {low:,} to {high:,}, until {NEARLY:.0%} of them are in flight",
            (at_high - orders.raised.clock) / 1e9,
            "s",
            target=soon,
        ),
        Figure(
            f"{name}: most in flight at any moment",
            max(count for _, count in flying),
            "items",
            target=Target("≤", high, must=True),
        ),
    ]
    raw = {
        "down": _each_second(down, orders.lowered.clock),
        "up": _each_second(up, orders.raised.clock),
        "begun_after_pause": dict(Counter(map(int, begun))),
    }
    return Part(name, figures, raw)


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


def _rise(counts: Iterable[int]) -> int:
    lowest, rise = None, 0
    for count in counts:
        lowest = count if lowest is None else min(lowest, count)
        rise = max(rise, count - lowest)
    return rise


def _each_second(flying: list[tuple[int, int]], since: int) -> list[int]:
    """Return how many were in flight at the end of each second."""
    last: dict[int, int] = {}
    for at, count in flying:
        last[int((at - since) / 1e9)] = count
    return [last[second] for second in sorted(last)]
