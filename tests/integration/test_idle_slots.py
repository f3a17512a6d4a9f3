"""What may be in flight and is needed no more goes elsewhere in the run, and `max_concurrency` holds all the while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import fanout
from fanout.children.batch import BatchActivity
from fanout.wire import partition_id
from tests.integration.engine import Engine
from tests.integration.resetting import reset
from tests.waiting import eventually


class Busy:
    """Holds some of the items until it is told to let them go, and counts what is in flight."""

    def __init__(self, holds: Callable[[int], bool]) -> None:
        self._holds = holds
        self.held: set[int] = set()
        self.now = self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, number: int) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        if self._holds(number):
            self.held.add(number)
            await self.open.wait()
        self.now -= 1
        return number


async def uses_all(
    engine: Engine,
    busy: Busy,
    *,
    items: int,
    most: int,
    once: Callable[[], bool] = lambda: True,
    **options: Any,
) -> None:
    """Run items until as many as allowed are held; then let them go, and see that there were never more in flight."""
    processor = fanout.processor(busy.__call__, name="busy")
    async with engine.worker(processor) as client:
        run = await engine.start(client, processor, fanout.Range(items), max_concurrency=most, **options)
        await eventually(lambda: once() and len(busy.held) >= most and busy.now == most)
        busy.open.set()
        assert (await asyncio.wait_for(run.result(), 20)).succeeded == items
    assert busy.most == most


async def test_the_last_items_of_a_batch_leave_its_other_slots_to_the_next_batches(engine: Engine) -> None:
    # The first two batches have one item each that takes for ever, all later items do, too.
    busy = Busy(lambda number: number in (3, 13) or number >= 20)
    await uses_all(engine, busy, items=100, most=20, batch_size=10, batch_concurrency=10)


async def test_a_partition_that_has_ended_leaves_its_share_to_one_that_has_not(engine: Engine) -> None:
    busy = Busy(lambda number: number >= 100)
    await uses_all(engine, busy, items=200, most=20, partition_size=100, batch_size=10, batch_concurrency=5)


async def test_a_group_that_has_ended_leaves_its_share_to_the_partitions_of_another(engine: Engine) -> None:
    busy = Busy(lambda number: number >= 45)
    await uses_all(
        engine, busy, items=90, most=12, partition_size=15, max_children=3, batch_size=1, batch_concurrency=1
    )


async def test_a_batch_does_without_the_slots_that_it_has_given_up_when_it_is_tried_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have them: with all of its own again, there would be more in flight than allowed."""
    again = False
    busy = Busy(lambda number: again or number in (3, 13) or number >= 20)
    run_as_usual = BatchActivity._run_items

    async def die_once(self: BatchActivity, job: Any, left: Any) -> Any:
        nonlocal again
        if job.batch.start or again:
            return await run_as_usual(self, job, left)
        work = asyncio.ensure_future(run_as_usual(self, job, left))
        await eventually(lambda: busy.now == 20)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        busy.now -= 1
        again = True
        raise OSError("the machine is gone")

    monkeypatch.setattr(BatchActivity, "_run_items", die_once)
    await uses_all(engine, busy, items=100, most=20, once=lambda: again, batch_size=10, batch_concurrency=10)


async def test_a_partition_that_is_reset_knows_the_places_that_its_batches_gave_up_before(
    engine: Engine,
) -> None:
    """Its batches have other keys than those that the signals name: without their places it would not replay."""
    busy = Busy(lambda number: number % 10 == 3)
    processor = fanout.processor(busy.__call__, name="busy")
    async with engine.worker(processor) as client:
        run = await fanout.start(
            client,
            processor,
            fanout.Range(100),
            id=engine.queue,
            task_queue=engine.queue,
            partition_size=100,
            batch_size=10,
            batch_concurrency=10,
            max_concurrency=20,
            history_limit=5000,
        )
        # Batches that began in places given up have left some of theirs in turn.
        await eventually(lambda: len(busy.held) >= 8)
        await reset(client, partition_id(run.id, 0), last=True)
        busy.open.set()
        assert (await asyncio.wait_for(run.result(), 40)).succeeded == 100
