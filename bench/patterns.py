"""fanout against the patterns that people write by hand: an activity or a child workflow per item."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import fanout
from bench.handwritten import QUEUE, ChildPerItem, Chunks, Order, SlidingWindow, workers
from bench.jobs import number
from bench.outputs import outcomes
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Stage, stage

WINDOW = 200
PROCESSES = 2
WARM_UP = 20

FANOUT = "fanout, no option set"
FANOUT_ONE = "fanout, batch_size=1"
CHUNKS = "chunks of activities, gathered"
SLIDING = "sliding window of activities"
CHILDREN = "a child workflow per item"

_BY_HAND: dict[str, Any] = {CHUNKS: Chunks, SLIDING: SlidingWindow, CHILDREN: ChildPerItem}


async def measure(sizes: Sizes) -> Report:
    """Run all in turn on one server; each has two warm worker processes."""
    counts = {
        FANOUT: sizes.items,
        FANOUT_ONE: sizes.pattern_items,
        CHUNKS: sizes.pattern_items,
        SLIDING: sizes.pattern_items,
        CHILDREN: sizes.pattern_children,
    }
    rates: dict[str, list[float]] = {name: [] for name in counts}
    missing = 0
    async with (
        stage(processes=PROCESSES) as here,
        workers(here.address, here.folder, processes=PROCESSES),
    ):

        async def ours(count: int, **options: Any) -> float:
            nonlocal missing
            run = await here.run(number, fanout.Range(count), id=f"run-{uuid4()}", **options)
            missing += count - outcomes(run.output, count).once
            here.forget(run)
            return run.seconds

        contenders: dict[str, Callable[[int], Awaitable[float]]] = {
            FANOUT: ours,
            FANOUT_ONE: lambda count: ours(count, batch_size=1, max_concurrency=WINDOW),
            CHUNKS: lambda count: _by_hand(here, CHUNKS, count),
            SLIDING: lambda count: _by_hand(here, SLIDING, count),
            CHILDREN: lambda count: _by_hand(here, CHILDREN, count),
        }
        for contend in contenders.values():
            await contend(WARM_UP)
        for turn in range(sizes.pattern_rounds):
            for name, contend in list(contenders.items())[:: -1 if turn % 2 else 1]:
                rates[name].append(counts[name] / await contend(counts[name]))
    return Report(
        title=f"items that do nothing, {WINDOW} in flight, two worker processes each",
        figures=[
            *(
                Figure.median_of(name, rates[name], "items/s", note=f"{counts[name]:,} items")
                for name in counts
            ),
            _ratio(rates, FANOUT, CHUNKS, 500),
            _ratio(rates, FANOUT, SLIDING),
            _ratio(rates, FANOUT, CHILDREN, 5000),
            _ratio(rates, FANOUT_ONE, SLIDING, 1),
            Figure("items that are not there exactly once", missing, target=Target("=", 0, must=True)),
        ],
        raw={"items_per_second": rates},
    )


async def _by_hand(here: Stage, name: str, count: int) -> float:
    began = time.perf_counter()
    total = await here.client.execute_workflow(
        _BY_HAND[name].run, Order(0, count, WINDOW), id=f"by-hand-{uuid4()}", task_queue=QUEUE
    )
    seconds = time.perf_counter() - began
    assert total == count * (count - 1) // 2
    return seconds


def _ratio(rates: dict[str, list[float]], mine: str, theirs: str, least: float | None = None) -> Figure:
    return Figure.median_of(
        f"{mine} / {theirs}",
        [one / other for one, other in zip(rates[mine], rates[theirs], strict=True)],
        "x",
        target=None if least is None else Target("≥", least),
    )
