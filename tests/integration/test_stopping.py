"""A run ends early when a counter says that it is enough."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import fanout
from fanout.errors import RunFailed, UsageError
from fanout.models import RunResult, Status
from tests.integration.engine import Engine, published

SHAPES: dict[str, dict[str, Any]] = {
    "in the root": {"batch_size": 20, "batch_concurrency": 10},
    "partitions": {"partition_size": 100, "batch_size": 20, "batch_concurrency": 10},
    "groups": {"partition_size": 150, "max_children": 3, "batch_size": 10, "batch_concurrency": 5},
}

shapes = pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)


@fanout.processor
async def paid(number: int) -> int:
    fanout.count("usd", 0.5)
    # Long enough for what is counted to be heard of.
    await asyncio.sleep(0.1)
    return number


@fanout.processor
async def counted(number: int) -> int:
    fanout.count("items")
    return number


async def stopped(run: fanout.Run) -> RunResult:
    with pytest.raises(
        RunFailed, match=r"was stopped: usd is [0-9.,]+; it was to stop when usd > "
    ) as raised:
        await run.result()
    assert raised.value.status is Status.STOPPED
    assert raised.value.result is not None
    return raised.value.result


@shapes
async def test_a_run_stops_when_its_counter_is_above_what_was_said(
    engine: Engine, options: dict[str, Any]
) -> None:
    async with engine.worker(paid) as client:
        run = await engine.start(
            client,
            paid,
            fanout.Range(1_000),
            max_concurrency=20,
            stop_when=fanout.CounterAbove("usd", 50),
            **options,
        )
        result = await stopped(run)
        assert (await run.info()).status is Status.STOPPED
    assert result.counters["usd"] == result.succeeded / 2 > 50
    assert result.not_run == 1_000 - result.succeeded > 0
    assert len(published(engine.store / run.id / (await run.info()).execution)) == result.succeeded


async def test_a_partition_that_continues_as_new_as_the_condition_comes_about_still_tells_of_it(
    engine: Engine,
) -> None:
    async with engine.worker(counted) as client:
        # One of these batches is the last one of its execution.
        runs = [
            await engine.start(
                client,
                counted,
                fanout.Range(60),
                history_limit=100,
                batch_size=1,
                max_concurrency=1,
                stop_when=fanout.CounterAbove("items", most),
            )
            for most in range(9, 17)
        ]
        async with asyncio.timeout(20):
            for most, run in enumerate(runs, 9):
                with pytest.raises(RunFailed, match="was stopped: items is"):
                    await run.result()
                assert (await run.progress()).succeeded == most + 1


@shapes
async def test_a_run_whose_counter_stays_at_what_was_said_goes_to_its_end(
    engine: Engine, options: dict[str, Any]
) -> None:
    async with engine.worker(paid) as client:
        ended = await engine.run(
            client, paid, fanout.Range(200), stop_when=fanout.CounterAbove("usd", 100), **options
        )
    assert ended.result.status is Status.SUCCEEDED
    assert ended.result.counters == {"usd": 100}
    assert ended.result.reason == ""


async def test_a_condition_that_cannot_be_is_told_before_the_run_starts(engine: Engine) -> None:
    client = await engine.client(paid)
    for counter, value, words in [
        ("no name", 1, "cannot name a counter"),
        ("usd", float("nan"), "finite numbers"),
    ]:
        with pytest.raises(UsageError, match=f"stop_when: .*{words}"):
            await engine.start(client, paid, [1], stop_when=fanout.CounterAbove(counter, value))
