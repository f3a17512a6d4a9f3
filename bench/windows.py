"""`fanout.patterns`: a sliding window against chunks with a barrier, over activities of heavy-tailed durations."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

import fanout
from bench.durations import lognormal
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from fanout import patterns
from fanout.devserver import start_dev_server

QUEUE = "windows"
IN_FLIGHT = 100
STRETCH = 5
"""Times the durations of `bench.durations`: what an activity costs the server must not count."""
MINUTE = timedelta(minutes=1)


@activity.defn
async def uneven(index: int) -> int:
    await asyncio.sleep(STRETCH * lognormal(index))
    return index


@workflow.defn
class Sliding:
    @workflow.run
    async def run(self, count: int) -> int:
        total = 0
        async with patterns.sliding_window(
            uneven, range(count), max_concurrency=IN_FLIGHT, start_to_close_timeout=MINUTE
        ) as window:
            async for _, index in window:
                total += index
        return total


@workflow.defn
class Chunked:
    @workflow.run
    async def run(self, count: int) -> int:
        chunks = patterns.chunked(uneven, range(count), chunk_size=IN_FLIGHT, start_to_close_timeout=MINUTE)
        return sum([sum(chunk) async for chunk in chunks])


async def measure(sizes: Sizes) -> Report:
    """Run both over the same durations, one after the other, on one server and one worker."""
    count = sizes.window_items
    async with await start_dev_server(ui=False) as server:
        client = await Client.connect(server.address, plugins=[fanout.Plugin([])])
        async with Worker(
            client,
            task_queue=QUEUE,
            workflows=[Sliding, Chunked],
            activities=[uneven],
            max_concurrent_activities=2 * IN_FLIGHT,
        ):
            await _seconds(client, Sliding, 10)
            sliding = await _seconds(client, Sliding, count)
            chunked = await _seconds(client, Chunked, count)
    best = sum(STRETCH * lognormal(index) for index in range(count)) / IN_FLIGHT
    return Report(
        title=f"{count:,} activities of uneven durations, {IN_FLIGHT} in flight",
        figures=[
            Figure("all slots always busy, computed", best, "s"),
            Figure("chunks with a barrier", chunked, "s"),
            Figure("sliding window", sliding, "s"),
            Figure("sliding window / chunks", sliding / chunked, "x", target=Target("≤", 0.6)),
        ],
        raw={"sliding": sliding, "chunked": chunked},
    )


async def _seconds(client: Client, pattern: type[Sliding] | type[Chunked], count: int) -> float:
    began = time.perf_counter()
    total = await client.execute_workflow(
        pattern.__name__, count, id=f"{pattern.__name__}-{count}", task_queue=QUEUE, result_type=int
    )
    seconds = time.perf_counter() - began
    assert total == count * (count - 1) // 2
    return seconds
