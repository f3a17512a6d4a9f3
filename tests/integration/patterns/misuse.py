"""A workflow that asks patterns for what cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from fanout import patterns
from tests.integration.patterns.jobs import MINUTE, Job, half, length
from tests.integration.patterns.workflows import Child


@workflow.defn
class Misuse:
    """Asks for what cannot be done."""

    @workflow.run
    async def run(self, what: str) -> Any:
        if what == "no timeout":
            return await patterns.gather(half, [1])
        if what == "no activity":
            return await patterns.gather(print, [1], start_to_close_timeout=MINUTE)
        if what == "class":
            return await patterns.gather(Child, [Job(1)])  # type: ignore[arg-type]
        if what == "option of children":
            return await patterns.gather(half, [1], id=str, start_to_close_timeout=MINUTE)
        if what == "option of activities":
            return await patterns.gather(Child.run, [Job(1)], start_to_close_timeout=MINUTE)
        if what == "options twice":
            return await patterns.gather(
                patterns.activity(half, start_to_close_timeout=MINUTE), [1], summary="half"
            )
        if what == "no concurrency":
            return await patterns.gather(half, [1], max_concurrency=0, start_to_close_timeout=MINUTE)
        if what == "no items":
            return await patterns.gather(half, cast("Any", 5), start_to_close_timeout=MINUTE)
        if what == "no items of a loop":
            return patterns.as_completed(half, cast("Any", 5), start_to_close_timeout=MINUTE)
        if what == "no chunk":
            return patterns.chunked(half, [1], chunk_size=0, start_to_close_timeout=MINUTE)
        if what == "nothing first":
            return await patterns.first_completed(half, [], start_to_close_timeout=MINUTE)
        if what == "not entered":
            return [one async for one in patterns.as_completed(half, [1], start_to_close_timeout=MINUTE)]
        if what == "not encodable":
            return await patterns.gather(
                "half", [1, object()], result_type=float, start_to_close_timeout=MINUTE
            )
        if what == "two compensations":
            return patterns.step(
                half, 1, compensate=half, compensate_output=half, start_to_close_timeout=MINUTE
            )
        if what == "always of output":
            return patterns.step(half, 1, compensate_output=half, always=True, start_to_close_timeout=MINUTE)
        if what == "too large an item":
            patterns.limits().item_bytes = 1_000
            texts = ["x" * 900, "x" * 1_000]
            return await patterns.gather(length, texts, start_to_close_timeout=MINUTE)
        if what == "broken source":
            return await patterns.gather(half, _breaks(), max_concurrency=1, start_to_close_timeout=MINUTE)
        if what == "too long":
            patterns.limits().history_events = 60
            return await patterns.gather(half, range(100), max_concurrency=2, start_to_close_timeout=MINUTE)
        if what == "too large":
            patterns.limits().history_bytes = 20_000
            texts = ["x" * 1_000] * 100
            return await patterns.gather(length, texts, max_concurrency=2, start_to_close_timeout=MINUTE)
        if what == "in flight":
            async with patterns.as_completed(half, [1], start_to_close_timeout=MINUTE):
                await asyncio.sleep(0)
                await patterns.continue_as_new(what)
        raise ApplicationError(f"unknown: {what}", non_retryable=True)


def _breaks() -> Iterator[int]:
    yield 1
    raise ApplicationError("the source is broken", non_retryable=True)
