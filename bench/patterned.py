"""Workflows of one pattern each, over items that do nothing: what `costs` counts the events of."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from fanout import patterns

PATIENCE = timedelta(seconds=60)
WINDOW = 10
LOST = 10
"""Every so many items fail, where items fail."""


@activity.defn
async def echo(number: int) -> int:
    """Return what was given."""
    return number


@activity.defn
async def wait_unless_first(number: int) -> int:
    """Wait until cancelled; the first item returns at once."""
    while number:
        activity.heartbeat()
        await asyncio.sleep(0.05)
    return number


@activity.defn
async def fail_some(number: int) -> int:
    """Return what was given, but for one item in so many."""
    if number % LOST == 0:
        # Benign: the worker need not log it.
        raise ApplicationError("no", category=ApplicationErrorCategory.BENIGN)
    return number


@workflow.defn
class Plain:
    """What one writes by hand."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Gather an activity per item."""
        await asyncio.gather(
            *(workflow.execute_activity(echo, n, start_to_close_timeout=PATIENCE) for n in range(count))
        )


@workflow.defn
class Gather:
    """All at once."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Gather an activity per item."""
        await patterns.gather(echo, range(count), start_to_close_timeout=PATIENCE)


@workflow.defn
class PartialResults:
    """All at once, and some of them fail after a retry."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Gather an activity per item."""
        await patterns.gather(
            fail_some,
            range(count),
            return_exceptions=True,
            start_to_close_timeout=PATIENCE,
            retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=10)),
        )


@workflow.defn
class Chunked:
    """A chunk at a time."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Go over the chunks."""
        async for _ in patterns.chunked(
            echo, range(count), chunk_size=WINDOW, start_to_close_timeout=PATIENCE
        ):
            pass


@workflow.defn
class SlidingWindow:
    """A few in flight."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Go over the results."""
        async with patterns.sliding_window(
            echo, range(count), max_concurrency=WINDOW, start_to_close_timeout=PATIENCE
        ) as results:
            async for _ in results:
                pass


@workflow.defn
class AsCompleted:
    """All at once, results as they come."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Go over the results."""
        async with patterns.as_completed(echo, range(count), start_to_close_timeout=PATIENCE) as results:
            async for _ in results:
                pass


@workflow.defn
class FirstSuccess:
    """All at once, and one is enough."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Take the first, cancel the others."""
        await patterns.first_success(
            wait_unless_first,
            range(count),
            start_to_close_timeout=PATIENCE,
            heartbeat_timeout=timedelta(seconds=20),
        )


@workflow.defn
class OneActivity:
    """A child workflow with one activity."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Return what the activity returns."""
        return await workflow.execute_activity(echo, number, start_to_close_timeout=PATIENCE)


@workflow.defn
class Children:
    """A child workflow for each item."""

    @workflow.run
    async def run(self, count: int) -> None:
        """Gather a child workflow per item."""
        await patterns.gather(OneActivity.run, range(count))
