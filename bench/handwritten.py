"""What people write by hand: workflows of plain Temporal that run an activity or a child workflow per item.

Run as a process of its own, `python -m bench.handwritten ADDRESS QUEUE`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "handwritten"


@activity.defn
async def echo(number: int) -> int:
    """Return what was given."""
    return number


def _echo(number: int) -> Awaitable[int]:
    return workflow.execute_activity(echo, number, start_to_close_timeout=timedelta(seconds=60))


@dataclass(frozen=True)
class Order:
    """What is left to do.

    Attributes:
        first: Number of the first item.
        end: Number behind the last one.
        window: Items in flight at most.
        total: Sum of the outputs so far.
    """

    first: int
    end: int
    window: int
    total: int = 0


@workflow.defn
class OneActivity:
    """Runs one activity."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Return what the activity returns."""
        return await _echo(number)


@workflow.defn
class Chunks:
    """Gathers an activity per item, a chunk at a time; continues as new between two chunks."""

    @workflow.run
    async def run(self, order: Order) -> int:
        """Return the sum of the outputs."""
        at, total = order.first, order.total
        while at < order.end:
            end = min(at + order.window, order.end)
            total += sum(await asyncio.gather(*map(_echo, range(at, end))))
            at = end
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(replace(order, first=at, total=total))
        return total


@workflow.defn
class SlidingWindow:
    """Begins the activity of an item as soon as that of another ends; drains before it continues as new."""

    @workflow.run
    async def run(self, order: Order) -> int:
        """Return the sum of the outputs."""
        return await _slide(order, _echo)


@workflow.defn
class ChildPerItem:
    """Begins the child workflow of an item as soon as that of another ends."""

    @workflow.run
    async def run(self, order: Order) -> int:
        """Return the sum of the outputs."""

        def child(number: int) -> Awaitable[int]:
            return workflow.execute_child_workflow(
                OneActivity.run, number, id=f"{workflow.info().workflow_id}/{number}"
            )

        return await _slide(order, child)


async def _slide(order: Order, run: Callable[[int], Awaitable[int]]) -> int:
    at, total = order.first, order.total

    async def slot() -> None:
        nonlocal at, total
        while at < order.end and not workflow.info().is_continue_as_new_suggested():
            at += 1
            output = await run(at - 1)
            total += output

    await asyncio.gather(*(slot() for _ in range(order.window)))
    if at < order.end:
        workflow.continue_as_new(replace(order, first=at, total=total))
    return total


@asynccontextmanager
async def workers(address: str, folder: Path, *, processes: int) -> AsyncIterator[list[int]]:
    """Run worker processes for these workflows while the block runs; yields their ids.

    Args:
        address: Of the server.
        folder: For their logs.
        processes: How many.
    """
    from bench.stage import polled, worker_process

    log = folder / "handwritten.log"
    command = [sys.executable, "-m", "bench.handwritten", address, QUEUE]
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(worker_process(command, log)) for _ in range(processes)]
        await polled(await Client.connect(address), QUEUE, processes, log)
        yield running


async def _main(address: str, queue: str) -> None:
    await Worker(
        await Client.connect(address),
        task_queue=queue,
        workflows=[OneActivity, Chunks, SlidingWindow, ChildPerItem],
        activities=[echo],
        max_concurrent_activities=1000,
    ).run()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
