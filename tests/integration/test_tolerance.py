"""A run of which more items fail than are tolerated stops early, and keeps what it has."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

import fanout
from fanout.children.window import SlotWindow
from fanout.errors import RunFailed
from fanout.models import RunResult, Status
from tests.integration.engine import Engine, published
from tests.waiting import eventually

SHAPES: dict[str, dict[str, Any]] = {
    "in the root": {"batch_size": 20, "batch_concurrency": 10},
    "a partition": {"history_limit": 500},
    "partitions": {"partition_size": 500, "batch_size": 50},
    "groups": {"partition_size": 250, "max_children": 2, "batch_size": 25, "batch_concurrency": 10},
}

shapes = pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)


def failing_of_a_thousand(failing: int) -> Any:
    """Return a processor that fails so many of each thousand items for good, and a twentieth once."""

    @fanout.processor(name="work", retries=1)
    async def work(number: int) -> int:
        if number % 1_000 % 90 == 0 and number % 1_000 // 90 < failing:
            raise ValueError("never works")
        if number % 20 == 1 and fanout.info().attempt == 1:
            raise RuntimeError("works the next time")
        return number

    return work


async def stopped(run: fanout.Run) -> RunResult:
    with pytest.raises(RunFailed, match=r"items that were settled failed; tolerated_failures is") as raised:
        await run.result()
    assert raised.value.status is Status.FAILED_TOLERANCE_EXCEEDED
    assert raised.value.result is not None
    assert raised.value.result.status is Status.FAILED_TOLERANCE_EXCEEDED
    assert (await run.info()).status is Status.FAILED_TOLERANCE_EXCEEDED
    return raised.value.result


@shapes
async def test_a_run_just_below_what_is_tolerated_completes_after_its_retries(
    engine: Engine, options: dict[str, Any]
) -> None:
    work = failing_of_a_thousand(9)
    async with engine.worker(work) as client:
        ended = await engine.run(client, work, fanout.Range(1_000), tolerated_failures="1%", **options)
    assert ended.result.status is Status.COMPLETED_WITH_FAILURES
    assert (ended.result.failed, ended.result.not_run) == (9, 0)


@shapes
async def test_a_run_just_above_what_is_tolerated_stops(engine: Engine, options: dict[str, Any]) -> None:
    work = failing_of_a_thousand(11)
    async with engine.worker(work) as client:
        run = await engine.start(client, work, fanout.Range(1_000), tolerated_failures="1%", **options)
        result = await stopped(run)
    assert result.failed == 11
    assert result.succeeded + result.failed + result.not_run == 1_000


@shapes
async def test_a_run_that_only_fails_stops_early_and_what_it_did_is_there(
    engine: Engine, options: dict[str, Any]
) -> None:
    calls: Counter[int] = Counter()

    @fanout.processor(retries=0)
    async def broken(number: int) -> int:
        calls[number] += 1
        raise ValueError("never works")

    async with engine.worker(broken) as client:
        run = await engine.start(
            client, broken, fanout.Range(1_000), tolerated_failures=20, max_concurrency=20, **options
        )
        result = await stopped(run)
    outcomes = published(engine.store / run.id / (await run.info()).execution)
    assert 20 < result.failed <= 1_000
    if "batch_size" in options:
        assert result.not_run > 0
    # What was in flight has ended, and was not begun anew.
    assert len(outcomes) == result.failed == sum(calls.values())
    assert [failure.index async for failure in run.failures()] == sorted(outcomes)


async def test_items_in_flight_end_when_a_run_stops_for_its_failures(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[SlotWindow] = []
    stop = SlotWindow.stop

    def noted(window: SlotWindow) -> None:
        told.append(window)
        stop(window)

    monkeypatch.setattr(SlotWindow, "stop", noted)
    waiting: set[int] = set()
    ended: set[int] = set()
    failed = asyncio.Event()

    @fanout.processor(retries=0)
    async def work(number: int) -> int:
        if number < 100:
            await eventually(lambda: len(waiting) >= 10)
            raise ValueError("never works")
        waiting.add(number)
        await eventually(failed.is_set)
        ended.add(number)
        return number

    async with engine.worker(work) as client:
        run = await engine.start(
            client,
            work,
            fanout.Range(10_000),
            partition_size=100,
            batch_size=50,
            batch_concurrency=10,
            max_concurrency=40,
            tolerated_failures=50,
        )

        async def stopping() -> bool:
            batches = {window for window in told if window.in_flight}
            return (await run.info()).status is Status.DRAINING and 10 * len(batches) == len(waiting)

        await eventually(stopping)
        failed.set()
        result = await stopped(run)
    assert 0 < len(waiting) <= 40
    assert ended == waiting
    assert (result.failed, result.succeeded) == (100, len(ended))


async def test_the_rate_of_those_settled_stops_a_run_long_before_its_share_is_used_up(engine: Engine) -> None:
    @fanout.processor(name="work", retries=0)
    async def mostly_broken(number: int) -> int:
        if number % 2:
            raise ValueError("never works")
        return number

    async with engine.worker(mostly_broken) as client:
        run = await engine.start(
            client,
            mostly_broken,
            fanout.Range(1_000_000),
            partition_size=100_000,
            batch_size=500,
            max_concurrency=100,
            tolerated_failures="20%",
        )
        result = await stopped(run)
    # A fifth of all would be 200,000.
    assert result.failed < 20_000
    root = (await engine.histories(run)).events
    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in root
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    assert scheduled.count("fanout.count") >= 1


async def test_a_run_of_which_nobody_has_said_anything_stops_when_half_of_it_fails(engine: Engine) -> None:
    @fanout.processor(retries=0)
    async def broken(number: int) -> int:
        raise ValueError("never works")

    async with engine.worker(broken) as client:
        small = await engine.run(client, broken, fanout.Range(999))
        assert small.result.status is Status.COMPLETED_WITH_FAILURES
        result = await stopped(await engine.start(client, broken, fanout.Range(1_000)))
        assert 500 < result.failed <= 1_000
        all_may = await engine.run(client, broken, fanout.Range(1_000), tolerated_failures="100%")
        assert all_may.result.status is Status.COMPLETED_WITH_FAILURES


async def test_what_is_tolerated_may_be_changed_while_a_run_goes_on(engine: Engine) -> None:
    free = asyncio.Event()

    @fanout.processor(retries=0)
    async def work(number: int) -> int:
        if number >= 50:
            await eventually(free.is_set)
        raise ValueError("never works")

    async with engine.worker(work) as client:
        run = await engine.start(
            client,
            work,
            fanout.Range(2_000),
            partition_size=1_000,
            batch_size=10,
            max_concurrency=40,
            tolerated_failures="100%",
        )

        async def some_failed() -> bool:
            return (await run.progress()).failed >= 30

        await eventually(some_failed)
        event = await run.update(tolerated_failures="1%")
        assert event.effect == "tolerated_failures is 1%"
        free.set()
        result = await stopped(run)
    assert result.reason.endswith("tolerated_failures is 1%")
    assert result.not_run > 0
