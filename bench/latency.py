"""How long a small `fanout.map` takes, against a bare workflow that runs one activity."""

from __future__ import annotations

import time
from uuid import uuid4

import fanout
from bench.handwritten import QUEUE as BARE_QUEUE
from bench.handwritten import OneActivity, workers
from bench.jobs import number
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import QUEUE, Stage, stage

ITEMS = 100
WARM_UPS = 5


async def measure(sizes: Sizes) -> Report:
    """Time both in turn, on one warm server with a worker process each."""
    ours: list[float] = []
    bare: list[float] = []
    async with (
        stage(processes=1) as here,
        workers(here.address, here.folder, processes=1),
    ):
        for turn in range(WARM_UPS + sizes.pairs):
            pair = await _pair(here, bare_first=turn % 2 == 0)
            if turn >= WARM_UPS:
                ours.append(1000 * pair[0])
                bare.append(1000 * pair[1])
    ours_median = Figure.median_of(f"fanout.map over {ITEMS} items", ours, "ms")
    bare_median = Figure.median_of("bare workflow with one activity", bare, "ms")
    return Report(
        title=f"{sizes.pairs} pairs, warm server and workers",
        figures=[
            ours_median,
            bare_median,
            Figure(
                "fanout.map / bare workflow",
                ours_median.value / bare_median.value,
                "x",
                [mine / other for mine, other in zip(ours, bare, strict=True)],
                Target("≤", 2),
                note="medians; pair by pair at the right",
            ),
        ],
    )


async def _pair(here: Stage, *, bare_first: bool) -> tuple[float, float]:
    if bare_first:
        bare = await _bare(here)
        return await _ours(here), bare
    return await _ours(here), await _bare(here)


async def _ours(here: Stage) -> float:
    began = time.perf_counter()
    results = await fanout.map(here.client, number, range(ITEMS), task_queue=QUEUE)
    seconds = time.perf_counter() - began
    assert [row.output for row in results] == list(range(ITEMS))
    return seconds


async def _bare(here: Stage) -> float:
    began = time.perf_counter()
    answer = await here.client.execute_workflow(
        OneActivity.run, 7, id=f"bare-{uuid4()}", task_queue=BARE_QUEUE
    )
    seconds = time.perf_counter() - began
    assert answer == 7
    return seconds
