"""Threads whose items were timed out and that never end: made up for, counted, and in the end fatal."""

from __future__ import annotations

import asyncio
import threading

import pytest

import fanout
from fanout.errors import WorkerExhausted
from fanout.models import Status
from fanout.workers.worker import run_worker
from tests.integration.engine import Engine


class Hanging:
    """A processor some of whose items hang until the test ends."""

    def __init__(self, every: int) -> None:
        self.go = threading.Event()

        @fanout.processor(name="hanging", timeout=0.3, retries=0)
        def hanging(number: int) -> int:
            if number % every == 0:
                self.go.wait(100)
            return number

        self.processor = hanging


async def test_as_many_threads_may_hang_as_there_are_and_the_run_goes_on(engine: Engine) -> None:
    hanging = Hanging(every=100)
    try:
        async with engine.worker(hanging.processor, threads=4) as client:
            ended = await engine.run(client, hanging.processor, fanout.Range(400))
        assert ended.result.status is Status.COMPLETED_WITH_FAILURES
        assert sorted(ended.failures) == [0, 100, 200, 300]
        assert ended.result.succeeded == 396
    finally:
        hanging.go.set()


async def test_a_worker_with_too_many_threads_that_hang_ends_and_its_run_goes_on_elsewhere(
    engine: Engine,
) -> None:
    hanging = Hanging(every=10)
    client = await engine.client(hanging.processor, threads=2)
    try:
        run = await engine.start(client, hanging.processor, fanout.Range(70), heartbeat_timeout=2)
        result = asyncio.create_task(run.result())
        stop = asyncio.Event()
        result.add_done_callback(lambda _: stop.set())
        ended: list[str] = []
        while not result.done():
            try:
                await run_worker(client, engine.queue, stop=stop, shutdown_timeout=2)
            except WorkerExhausted as error:
                ended.append(str(error))
        assert len(ended) >= 2
        assert all("threads hang" in text and "in hanging" in text for text in ended)
        assert (await result).succeeded == 63
    finally:
        hanging.go.set()


async def test_an_own_worker_ends_with_a_clear_error(engine: Engine) -> None:
    hanging = Hanging(every=1)
    client = await engine.client(hanging.processor, threads=1)
    run = await engine.start(client, hanging.processor, fanout.Range(10))
    try:
        with pytest.raises(WorkerExhausted, match="2 in hanging"):
            await run_worker(client, engine.queue, stop=asyncio.Event(), shutdown_timeout=1)
        await run.terminate()
    finally:
        hanging.go.set()
