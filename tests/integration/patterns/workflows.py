"""Workflows that use one pattern each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

from fanout import patterns
from tests.integration.patterns.jobs import MINUTE, ONCE, OPTIONS, Job, add, flaky, half, length, page, work


@dataclass(frozen=True)
class Order:
    """What a workflow is to do.

    Attributes:
        jobs: For its items.
        max_concurrency: Of them at once.
        results: Whether errors are results.
        flag: What else the workflow has to choose between.
    """

    jobs: list[Job]
    max_concurrency: int = 500
    results: bool = False
    flag: bool = False


@workflow.defn
class Child:
    """Does one job in an activity of its own."""

    @workflow.run
    async def run(self, job: Job) -> int:
        # As patterns do it: whoever cancels this workflow waits for its activity.
        waits = workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
        return await workflow.execute_activity(work, job, cancellation_type=waits, **OPTIONS)


@workflow.defn
class Gather:
    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        if order.results:
            return await patterns.gather(
                work, order.jobs, max_concurrency=order.max_concurrency, return_exceptions=True, **OPTIONS
            )
        return await patterns.gather(work, order.jobs, max_concurrency=order.max_concurrency, **OPTIONS)


@workflow.defn
class GatherChildren:
    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        if order.results:
            return await patterns.gather(
                Child.run, order.jobs, max_concurrency=order.max_concurrency, return_exceptions=True
            )
        return await patterns.gather(Child.run, order.jobs, max_concurrency=order.max_concurrency)


@workflow.defn
class Chunked:
    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        if order.results:
            return [
                chunk
                async for chunk in patterns.chunked(
                    work, order.jobs, chunk_size=order.max_concurrency, return_exceptions=True, **OPTIONS
                )
            ]
        chunks = patterns.chunked(work, order.jobs, chunk_size=order.max_concurrency, **OPTIONS)
        return [chunk async for chunk in chunks]


@workflow.defn
class Sliding:
    """With the flag, results come in the order of the items."""

    def __init__(self) -> None:
        self.limit = patterns.Limit(0)

    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        self.limit.max_concurrency = order.max_concurrency
        found: list[Any] = []
        if order.results:
            async with patterns.sliding_window(
                work,
                order.jobs,
                max_concurrency=self.limit,
                ordered=order.flag,
                return_exceptions=True,
                **OPTIONS,
            ) as results:
                return [result async for result in results]
        async with patterns.sliding_window(
            work, order.jobs, max_concurrency=self.limit, ordered=order.flag, **OPTIONS
        ) as window:
            async for job, output in window:
                found.append([job.number, output])
        return found

    @workflow.signal
    def at_most(self, count: int) -> None:
        self.limit.max_concurrency = count

    @workflow.query
    def in_flight(self) -> int:
        return self.limit.in_flight


@workflow.defn
class SlidingChildren:
    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        async with patterns.sliding_window(
            Child.run, order.jobs, max_concurrency=order.max_concurrency
        ) as window:
            return [[job.number, output] async for job, output in window]


@workflow.defn
class AsCompleted:
    """With the flag, it leaves after the first result."""

    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        found = []
        async with patterns.as_completed(
            work, order.jobs, max_concurrency=order.max_concurrency, return_exceptions=True, **OPTIONS
        ) as results:
            async for result in results:
                found.append([result.item.number, result.output])
                if order.flag:
                    break
        return found


@workflow.defn
class SlowLoop:
    """Awaits something else for each result."""

    @workflow.run
    async def run(self, order: Order) -> int:
        total = 0
        async with patterns.as_completed(
            work, order.jobs, max_concurrency=order.max_concurrency, **OPTIONS
        ) as results:
            async for _ in results:
                total = await workflow.execute_activity(work, Job(100, holds=True), **OPTIONS)
        return total


@workflow.defn
class FirstCompleted:
    @workflow.run
    async def run(self, order: Order) -> Any:
        if order.results:
            return await patterns.first_completed(work, order.jobs, return_exceptions=True, **OPTIONS)
        return await patterns.first_completed(work, order.jobs, **OPTIONS)


@workflow.defn
class FirstSuccess:
    @workflow.run
    async def run(self, order: Order) -> Any:
        if order.results:
            return await patterns.first_success(work, order.jobs, return_exceptions=True, **OPTIONS)
        return await patterns.first_success(work, order.jobs, **OPTIONS)


@workflow.defn
class FirstChild:
    @workflow.run
    async def run(self, order: Order) -> int:
        return await patterns.first_success(Child.run, order.jobs)


@workflow.defn
class Pages:
    """Goes over an asynchronous iterator that asks an activity for each page; says how many it has taken."""

    def __init__(self) -> None:
        self.taken = 0

    @workflow.run
    async def run(self, order: Order) -> list[int]:
        async with patterns.sliding_window(work, self.jobs(), max_concurrency=2, **OPTIONS) as window:
            return [output async for _, output in window]

    async def jobs(self) -> AsyncIterator[Job]:
        first = 0
        while numbers := await workflow.execute_activity(page, first, **OPTIONS):
            for number in numbers:
                self.taken += 1
                yield Job(number, holds=True)
            first += len(numbers)

    @workflow.query
    def progress(self) -> int:
        return self.taken


@workflow.defn
class Several:
    """Several calls at a time, in one workflow that may have few activities pending."""

    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        patterns.limits().activities.max_concurrency = order.max_concurrency
        return await asyncio.gather(*(patterns.gather(work, order.jobs, **OPTIONS) for _ in range(3)))


@workflow.defn
class Forms:
    """Everything that may run an item."""

    @workflow.run
    async def run(self, order: Order) -> list[Any]:
        numbers = [1, 2, 3]
        adding: patterns.Call[int, int] = patterns.activity(
            add, args=lambda number: (number, 10), start_to_close_timeout=MINUTE
        )
        named: patterns.Call[Job, int] = patterns.child(
            "Child", result_type=int, id=lambda job: f"{workflow.info().workflow_id}/own-{job.number}"
        )
        return [
            await patterns.gather(half, numbers, start_to_close_timeout=MINUTE),
            await patterns.gather(adding, numbers),
            await patterns.gather("add", [], start_to_close_timeout=MINUTE),
            await patterns.gather("half", numbers, result_type=float, start_to_close_timeout=MINUTE),
            await patterns.gather(named, order.jobs),
            await patterns.gather(Child.run, order.jobs),
            await patterns.gather(Child.run, order.jobs),
        ]


@workflow.defn
class Attempts:
    @workflow.run
    async def run(self, maximum: int) -> list[Any]:
        policy = RetryPolicy(maximum_attempts=maximum, initial_interval=timedelta(milliseconds=1))
        return await patterns.gather(
            flaky, [0, 1, 5], return_exceptions=True, retry_policy=policy, start_to_close_timeout=MINUTE
        )


@workflow.defn
class Large:
    """Texts of one size; with a window or gathered, or as people do it by hand."""

    @workflow.run
    async def run(self, how: str, count: int, size: int) -> int:
        texts = ("x" * size for _ in range(count))
        # The server of the long form takes more than Temporal's 50 MiB of history.
        patterns.limits().history_bytes *= 4
        if how == "by hand":
            by_hand = (workflow.execute_activity(length, text, **OPTIONS) for text in texts)
            return sum(await asyncio.gather(*by_hand))
        if how == "gather":
            return sum(
                await patterns.gather(length, texts, max_concurrency=500, start_to_close_timeout=MINUTE)
            )
        total = 0
        async with patterns.sliding_window(
            length, texts, max_concurrency=500, start_to_close_timeout=MINUTE
        ) as window:
            async for _, output in window:
                total += output
        return total


@workflow.defn
class Endless:
    """Goes over numbers in a window, and continues as new whenever its history is long."""

    def __init__(self) -> None:
        self.heard = 0

    @workflow.run
    async def run(self, first: int, end: int, total: int, executions: int) -> list[int]:
        window = patterns.sliding_window(
            work, self.jobs(first, end), max_concurrency=4, ordered=True, **OPTIONS
        )
        async with window:
            async for _, output in window:
                total += output
                if patterns.should_continue_as_new(history_limit=60):
                    window.drain()
        if not window.exhausted:
            await patterns.continue_as_new(first + window.begun, end, total, executions + 1)
        return [total, executions]

    def jobs(self, first: int, end: int) -> Iterator[Job]:
        return (Job(number) for number in range(first, end))


@workflow.defn
class Saga:
    """Steps that double numbers; compensations are jobs whose number is negative."""

    @workflow.run
    async def run(self, order: Order, broken: list[int]) -> list[Any]:
        def undo(number: int) -> Job:
            return Job(-number, fails=number in broken)

        steps = [
            patterns.step(
                work,
                job,
                compensate=patterns.activity(
                    work, args=lambda job: [undo(job.number)], retry_policy=ONCE, **OPTIONS
                ),
                always=order.results,
                **OPTIONS,
            )
            for job in order.jobs
        ]
        return list(
            await patterns.saga(
                *steps, max_concurrency=order.max_concurrency, parallel_compensation=order.flag
            )
        )


WORKFLOWS = [
    AsCompleted,
    Attempts,
    Child,
    Chunked,
    Endless,
    FirstChild,
    FirstCompleted,
    FirstSuccess,
    Forms,
    Gather,
    GatherChildren,
    Large,
    Pages,
    Saga,
    Several,
    Sliding,
    SlidingChildren,
    SlowLoop,
]
