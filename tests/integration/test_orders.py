"""Orders to a run: they reach all of its tree, hold until the next one, and say what they have done."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio import activity

import fanout
from fanout import messages, wire
from fanout.children import running
from fanout.children.book import Book
from fanout.children.execution import Execution
from fanout.children.window import Window
from fanout.errors import RunFailed, RunNotFound, UsageError
from fanout.models import Status
from tests.integration.engine import Engine, published
from tests.waiting import eventually

SHAPES: dict[str, dict[str, Any]] = {
    "in the root": {},
    "a partition": {"history_limit": 500},
    "partitions": {"partition_size": 50, "batch_size": 10, "batch_concurrency": 5},
    "groups": {"partition_size": 25, "max_children": 2, "batch_size": 5, "batch_concurrency": 5},
}

shapes = pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)


class Work:
    """Items that take as long as the test wants, and are counted."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()
        self.attempts: set[int] = set()
        self.flying: set[int] = set()
        self.old: set[int] = set()
        self.most_new = 0
        self.free: Callable[[int], bool] = lambda number: False

    @property
    def now(self) -> int:
        return len(self.flying)

    async def __call__(self, number: int) -> int:
        self.calls[number] += 1
        self.attempts.add(fanout.info().attempt)
        self.flying.add(number)
        self.most_new = max(self.most_new, len(self.flying - self.old))
        try:
            await eventually(lambda: self.free(number), within=60)
        finally:
            self.flying.discard(number)
        return number

    @property
    def processor(self) -> Any:
        return fanout.processor(self.__call__, name="work")


@pytest.fixture
def work() -> Work:
    return Work()


@asynccontextmanager
async def busy(
    engine: Engine, work: Work, items: int, most: int, **options: Any
) -> AsyncIterator[fanout.Run]:
    """Start a run, and wait until as many of its items are in flight as may be."""
    async with engine.worker(work.processor) as client:
        run = await engine.start(client, work.processor, fanout.Range(items), max_concurrency=most, **options)
        await eventually(lambda: work.now == most)
        yield run


@shapes
async def test_a_paused_run_begins_nothing_new_until_it_is_resumed(
    engine: Engine, work: Work, options: dict[str, Any]
) -> None:
    async with busy(engine, work, 200, 20, **options) as run:
        event = await run.pause(reason="the service is down")
        assert (event.taken, event.refused, event.effect) == (True, False, "paused")
        assert (await run.info()).status is Status.PAUSED
        work.free = lambda number: True
        # Batches in flight go on to their end; then nothing moves, until somebody says so.
        await eventually(lambda: _idle(run))
        held = sum(work.calls.values())
        assert held < 200 or not options
        if held < 200:
            assert (await run.progress()).status is Status.PAUSED
            assert (await run.resume()).effect == "resumed"
        assert (await run.result()).status is Status.SUCCEEDED
    assert len(published(engine.store / run.id / (await run.info()).execution)) == 200
    assert set(work.calls.values()) == {1}


async def _idle(run: fanout.Run) -> bool:
    return not (await run.progress()).in_flight


async def _taken(run: fanout.Run) -> bool:
    return all(event.taken for event in await run.events())


@shapes
async def test_a_pause_at_once_cuts_off_what_is_in_flight_and_takes_no_attempt_from_it(
    engine: Engine, work: Work, options: dict[str, Any]
) -> None:
    async with busy(engine, work, 100, 20, **options) as run:
        assert (await run.pause(now=True)).taken
        await eventually(lambda: work.now == 0)
        work.free = lambda number: True
        assert (await run.resume()).taken
        assert (await run.result()).succeeded == 100
    assert sum(work.calls.values()) == 120
    assert work.attempts == {1}


async def test_an_order_reaches_partitions_that_are_just_starting(engine: Engine, work: Work) -> None:
    options = {"max_concurrency": 300, "partition_size": 10, "batch_size": 10, "batch_concurrency": 5}
    async with engine.worker(work.processor) as client:
        run = await engine.start(client, work.processor, fanout.Range(300), **options)
        await eventually(lambda: work.now)
        assert (await run.pause(now=True)).taken
        await eventually(lambda: _idle(run))
        assert work.now == 0
        work.free = lambda number: True
        assert (await run.resume()).taken
        assert (await run.result()).succeeded == 300


@shapes
async def test_fewer_in_flight_at_once_and_more_again(
    engine: Engine, work: Work, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ending: list[int] = []

    async def let_end(window: Window, *arguments: Any) -> None:
        ending.append(window.in_flight)
        await real(window, *arguments)

    real = running._let_end
    monkeypatch.setattr(running, "_let_end", let_end)
    async with busy(engine, work, 400, 40, **options) as run:
        event = await run.update(max_concurrency=10, reason="too much for it")
        assert event.effect == "max_concurrency is 10"
        # Batches hear of it with their next heartbeat.
        await eventually(lambda: sum(ending) >= 30)
        work.old, work.most_new = set(work.flying), 0
        # What was in flight ends, and no more than ten begin in its place.
        work.free = work.old.__contains__
        await eventually(lambda: not work.old & work.flying)
        await eventually(lambda: work.now >= 5)
        assert work.most_new <= 10
        event = await run.update(max_concurrency=60)
        assert event.effect == "max_concurrency is 60, was 10"
        await eventually(lambda: work.now > 55, within=5)
        assert work.most_new <= 60
        work.free = lambda number: True
        assert (await run.result()).succeeded == 400
    assert set(work.calls.values()) == {1}


async def test_a_batch_that_is_told_to_end_while_it_commits_brings_that_to_its_end(
    engine: Engine, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing: list[int] = []

    async def commit(execution: Execution, book: Book, *arguments: Any) -> Any:
        committing.append(len(book))
        if len(committing) == 1:
            await eventually(lambda: _told(activity.cancellation_details()))
        return await real(execution, book, *arguments)

    real = Execution.commit
    monkeypatch.setattr(Execution, "commit", commit)
    work.free = lambda number: True
    options = {"max_concurrency": 10, "batch_size": 10, "batch_concurrency": 10}
    async with engine.worker(work.processor) as client:
        run = await engine.start(client, work.processor, fanout.Range(30), **options)
        await eventually(lambda: committing)
        assert (await run.update(max_concurrency=2)).taken
        assert (await run.result()).succeeded == 30
    assert set(work.calls.values()) == {1}


def _told(details: activity.ActivityCancellationDetails | None) -> bool:
    return details is not None and details.cancel_requested


@shapes
async def test_a_drained_run_ends_what_is_in_flight_and_publishes_what_is_done(
    engine: Engine, work: Work, options: dict[str, Any]
) -> None:
    async with busy(engine, work, 1000, 20, **options) as run:
        assert (await run.pause()).taken
        assert (await run.drain()).taken
        work.free = lambda number: True
        with pytest.raises(RunFailed, match="was drained") as failed:
            await run.result()
        assert failed.value.status == Status.STOPPED
        result = failed.value.result
        assert result is not None
        assert (await run.info()).status is Status.STOPPED
        assert 20 <= result.succeeded == len([row async for row in run.results()])
        assert result.succeeded + result.not_run == 1000
        with pytest.raises(RunNotFound, match="has ended: there is nothing to pause"):
            await run.pause()
    assert len(published(engine.store / run.id / (await run.info()).execution)) == result.succeeded


async def test_a_run_that_is_paused_at_once_and_drained_right_after_waits_for_no_item(
    engine: Engine, work: Work
) -> None:
    async with busy(engine, work, 1000, 20, **SHAPES["groups"]) as run:
        await run.pause(now=True, wait=0)
        await run.drain()
        # Its items would not end by themselves.
        with pytest.raises(RunFailed, match="was drained"):
            await asyncio.wait_for(run.result(), 30)
        assert work.now == 0


async def test_an_order_is_kept_for_workers_that_are_away(engine: Engine, work: Work) -> None:
    client = await engine.client(work.processor)
    run = await engine.start(client, work.processor, fanout.Range(100), max_concurrency=10)
    event = await run.pause(wait=0.5)
    assert (event.taken, event.effect) == (False, "")
    assert [event.taken for event in await run.events()] == [False]
    async with engine.worker(work.processor):
        await eventually(lambda: _taken(run))
        assert (await run.info()).status is Status.PAUSED
        assert not work.calls
        work.free = lambda number: True
        await run.resume()
        assert (await run.result()).succeeded == 100


async def test_a_pause_for_a_time_ends_by_itself_and_survives_continuing_as_new(
    engine: Engine, work: Work
) -> None:
    work.free = lambda number: True
    async with engine.worker(work.processor) as client:
        run = await engine.start(
            client,
            work.processor,
            fanout.Range(300),
            max_concurrency=4,
            batch_size=1,
            history_limit=100,
        )
        await eventually(lambda: sum(work.calls.values()) > 20)
        await run.update(max_concurrency=2)
        await run.pause(resume_after=1.5)
        assert (await run.result()).succeeded == 300
        kinds = [(event.kind, event.effect) for event in await run.events()]
        assert kinds == [
            ("update", "max_concurrency is 2"),
            ("pause", "paused, for 1.5 s"),
            ("resume", "resumed"),
        ]
        node = await engine.histories(run)
        (partition,) = node.children
        assert len(partition.executions) > 2
        for execution in partition.executions[2:]:
            (payload,) = execution[0].workflow_execution_started_event_attributes.input.payloads
            assert b'"concurrency":2' in payload.data


async def test_a_partition_that_continues_as_new_while_it_is_paused_stays_so(
    engine: Engine, work: Work
) -> None:
    async with busy(engine, work, 50, 4, batch_size=1, history_limit=100) as run:
        # Each of them tells the partition; so its history gets long enough, and it waits for its batches alone.
        for _ in range(15):
            for most in (4, 5):
                await run.update(max_concurrency=most)
        assert (await run.pause()).taken
        begun = len(work.calls)
        work.free = lambda number: True
        await eventually(lambda: _executions(engine, run, 2))
        assert (await run.progress()).in_flight == 0
        assert len(work.calls) == begun < 50
        assert (await run.resume()).taken
        assert (await run.result()).succeeded == 50


async def _executions(engine: Engine, run: fanout.Run, count: int) -> bool:
    (partition,) = (await engine.histories(run)).children
    return len(partition.executions) >= count


async def test_more_in_flight_than_the_live_partitions_can_take_brings_further_ones_to_life(
    engine: Engine, work: Work
) -> None:
    options = {"partition_size": 10, "batch_size": 5, "batch_concurrency": 5}
    async with busy(engine, work, 100, 10, **options) as run:
        assert (await run.update(max_concurrency=60)).taken
        await eventually(lambda: work.now == 60)
        work.free = lambda number: True
        assert (await run.result()).succeeded == 100


async def test_orders_that_make_no_sense_say_why_and_one_that_is_sent_twice_counts_once(
    engine: Engine, work: Work
) -> None:
    async with busy(engine, work, 100, 10) as run:
        event = await run.resume()
        assert (event.refused, event.effect) == (True, "it is not paused")
        order = messages.Order("same", "pause", time.time(), "someone", reason="twice")
        handle = run.client.get_workflow_handle(run.id)
        await handle.signal(wire.ORDER_SIGNAL, order)
        assert (await run.pause()).effect == "it is paused already"
        assert (await run.resume()).effect == "resumed"
        await handle.signal(wire.ORDER_SIGNAL, order)
        assert (await run.update(max_concurrency=9)).taken
        assert (await run.info()).status is Status.RUNNING
        assert (await run.drain()).taken
        assert (await run.resume()).effect == "it is being drained, which cannot be undone"
        await handle.signal(wire.ORDER_SIGNAL, messages.Order("new", "fly", time.time(), "someone"))
        await run.drain()
        said = [(event.kind, event.who, event.reason, event.refused) for event in await run.events()]
        assert said[1] == ("pause", "someone", "twice", False)
        kinds = ["resume", "pause", "pause", "resume", "update", "drain", "resume", "fly", "drain"]
        assert [kind for kind, *_ in said] == kinds
        assert [refused for *_, refused in said] == [True, False, True, False, False, False, True, True, True]
        with pytest.raises(UsageError, match="max_concurrency"):
            await run.update(max_concurrency=0)
        await run.cancel(reason="enough")
        with pytest.raises(RunFailed) as failed:
            await run.result()
        assert failed.value.status == Status.CANCELED
        last = (await run.events())[-1]
        assert (last.kind, last.reason) == ("cancel", "enough")
