"""A workflow that is cancelled, or whose worker goes away, in the middle of a pattern."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import Any

import pytest

from tests.integration.patterns import jobs
from tests.integration.patterns.jobs import Job, Seen
from tests.integration.patterns.stage import Stage, ends_canceled, worker
from tests.integration.patterns.workflows import (
    AsCompleted,
    Chunked,
    FirstChild,
    FirstCompleted,
    FirstSuccess,
    Gather,
    GatherChildren,
    Order,
    Sliding,
    SlidingChildren,
    SlowLoop,
)
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="package")

# Two have ended and three are in flight when it happens; two more have not begun.
JOBS = [Job(0), Job(1), *(Job(number, holds=True) for number in range(2, 7))]
OUTPUTS = [2 * number for number in range(7)]
PAIRS = [[number, 2 * number] for number in range(7)]
PATTERNS: list[tuple[Any, Order, Any]] = [
    (Gather.run, Order(JOBS, 3), OUTPUTS),
    (GatherChildren.run, Order(JOBS, 3), OUTPUTS),
    (Sliding.run, Order(JOBS, 3), PAIRS),
    (Sliding.run, Order(JOBS, 3, flag=True), PAIRS),
    (SlidingChildren.run, Order(JOBS, 3), PAIRS),
    (AsCompleted.run, Order(JOBS, 3), PAIRS),
    (Chunked.run, Order(JOBS[1:], 3), [OUTPUTS[1:4], OUTPUTS[4:]]),
    (FirstCompleted.run, Order(JOBS[2:]), None),
    (FirstSuccess.run, Order([Job(1, fails=True), *JOBS[2:]]), None),
    (FirstChild.run, Order(JOBS[2:]), None),
]
NAMES = [
    "gather",
    "gather-children",
    "sliding",
    "ordered",
    "sliding-children",
    "as-completed",
    "chunked",
    "first-completed",
    "first-success",
    "first-child",
]


def halfway(order: Order, seen: Seen) -> bool:
    """Tell whether all that can end has ended, and all that can hold is held."""
    quick = [job.number for job in order.jobs if not job.holds]
    held = min(order.max_concurrency, len(order.jobs) - len(quick))
    # The last of a chunk waits for it.
    return set(quick) <= set(seen.ended) and seen.in_flight >= min(held, 2)


@pytest.mark.parametrize(("run", "order", "result"), PATTERNS, ids=NAMES)
async def test_cancelled_in_the_middle_nothing_is_left(
    stage: Stage, run: Any, order: Order, result: Any
) -> None:
    handle = await stage.start(run, order)
    seen = stage.seen()
    await eventually(lambda: halfway(order, seen))
    await handle.cancel()
    assert await ends_canceled(handle)
    # The workflow has waited: its activities have ended before it did.
    assert seen.in_flight == 0
    assert seen.cancelled
    assert set(seen.cancelled) <= set(range(2, 7))
    assert not (await handle.describe()).raw_description.pending_activities
    assert not (await handle.describe()).raw_description.pending_children


async def test_cancelled_while_the_loop_awaits_something_else_nothing_is_left(stage: Stage) -> None:
    handle = await stage.start(SlowLoop.run, Order(JOBS, 3))
    seen = stage.seen()
    await eventually(lambda: 100 in seen.begun and seen.in_flight == 4)
    await handle.cancel()
    assert await ends_canceled(handle)
    assert seen.in_flight == 0
    assert sorted(seen.cancelled) == [2, 3, 4, 100]


async def test_a_loop_that_is_left_early_leaves_nothing_running(stage: Stage) -> None:
    assert await stage.run(AsCompleted.run, Order([Job(1), *JOBS[2:]], flag=True)) == [[1, 2]]
    assert stage.seen().in_flight == 0


@pytest.mark.timeout(300)
async def test_another_worker_goes_on_in_the_middle(stage: Stage) -> None:
    queue = f"patterns-{uuid.uuid4().hex[:8]}"
    async with worker(stage.client, queue):
        handles = [await stage.start(run, order, queue=queue) for run, order, _ in PATTERNS]
        for handle, (_, order, _) in zip(handles, PATTERNS, strict=True):
            await eventually(partial(halfway, order, jobs.of(handle.id)))
    # What was cut off by the worker's end is tried again by the next one, which replays the workflows.
    async with worker(stage.client, queue):
        for handle in handles:
            jobs.of(handle.id).released.set()
        for name, handle, (_, _, result) in zip(NAMES, handles, PATTERNS, strict=True):
            found = await asyncio.wait_for(handle.result(), 100)
            if result is None:
                assert found in OUTPUTS[2:], name
            else:
                assert sorted(found) == result, name
