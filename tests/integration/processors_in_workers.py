"""A worker process, and processors that write down when each of their items began and ended.

`python -m tests.integration.processors_in_workers ADDRESS QUEUE FOLDER` polls until SIGTERM. The store is `out` in the
folder, the log one file a process: `begin end index` a line, in nanoseconds of a clock that all processes share.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from temporalio.client import Client

import fanout
from fanout.children.budget import INFLIGHT_BYTES
from fanout.workers.memory import share_heap
from fanout.workers.worker import run_worker
from tests.integration import reducers_in_workers  # noqa: F401 - registered by its import
from tests.integration.processors_that_count import poisoned


def write(began: int, index: int) -> None:
    line = b"%d %d %d\n" % (began, time.monotonic_ns(), index)
    path = Path(os.environ["FANOUT_TEST_LOG"]) / f"{os.getpid()}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line)
    os.close(descriptor)


@fanout.processor
async def timed(number: int, *, seconds: float) -> int:
    began = time.monotonic_ns()
    await asyncio.sleep(seconds)
    write(began, number)
    return number


@fanout.processor
async def doubled(number: int, *, seconds: float = 0.0) -> int:
    began = time.monotonic_ns()
    await asyncio.sleep(seconds)
    write(began, number)
    return 2 * number


@fanout.processor(compensates=doubled)
async def halved(number: int, output: int, *, seconds: float = 0.0) -> int:
    assert output == 2 * number
    return await doubled(output // 2, seconds=seconds) // 2


@fanout.processor
async def counted(number: int, *, seconds: float) -> int:
    began = time.monotonic_ns()
    fanout.count("items")
    fanout.count("weight", number)
    await asyncio.sleep(seconds)
    fanout.count("usd", 0.02)
    write(began, number)
    return number


@fanout.processor
def timed_thread(number: int, *, seconds: float) -> int:
    began = time.monotonic_ns()
    time.sleep(seconds)
    write(began, number)
    return number


@fanout.processor(list_size=5)
async def timed_list(numbers: list[int], *, seconds: float) -> list[int]:
    began = time.monotonic_ns()
    await asyncio.sleep(seconds)
    for number in numbers:
        write(began, number)
    return numbers


@fanout.processor
async def fat(number: int, *, size: int) -> str:
    await asyncio.sleep(0.01)
    return "x" * size


@fanout.processor
async def weigh(item: str) -> int:
    await asyncio.sleep(0.01)
    return len(item)


async def work(address: str, queue: str, folder: str) -> None:
    plugin = fanout.Plugin(
        [timed, counted, doubled, halved, timed_thread, timed_list, fat, weigh, poisoned],
        store=Path(folder) / "out",
        allowed_roots=[folder],
        max_inflight_bytes=int(os.environ.get("FANOUT_TEST_INFLIGHT", INFLIGHT_BYTES)),
    )
    client = await Client.connect(address, plugins=[plugin])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_worker(
        client,
        queue,
        stop=stop,
        shutdown_timeout=5,
        ready=lambda: print("ready", flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    # As a module of its own name, so that the registered processors are those that tests import.
    from tests.integration.processors_in_workers import work as main

    share_heap()  # as `fanout worker` does
    asyncio.run(main(*sys.argv[1:]))
