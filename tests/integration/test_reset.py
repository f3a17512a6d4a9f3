"""Workflows that are reset in the middle, as a person may do in Temporal Web: every item keeps one outcome."""

from __future__ import annotations

import asyncio

import pytest

import fanout
from fanout import topology
from fanout.wire import partition_id
from tests.integration.engine import Engine, published
from tests.integration.resetting import reset
from tests.waiting import eventually


class Gate:
    """Items from an index on wait until the gate is open."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.open = asyncio.Event()
        self.calls: list[int] = []

    async def __call__(self, number: int) -> int:
        self.calls.append(number)
        if number >= self.first:
            await self.open.wait()
        return number


@pytest.mark.parametrize("whose", ["root", "partition", "small run"])
@pytest.mark.parametrize("last", [False, True])
async def test_a_run_that_is_reset_completes_with_one_outcome_for_each_item(
    engine: Engine, whose: str, last: bool
) -> None:
    gate = Gate(35)
    processor = fanout.processor(gate.__call__, name="gated", timeout=None)
    size = 40 if whose == "small run" else 20
    async with engine.worker(processor) as client:
        run = await fanout.start(
            client, processor, fanout.Range(40), id=engine.queue, task_queue=engine.queue,
            partition_size=size, batch_size=5, max_concurrency=10, batch_concurrency=5, heartbeat_timeout=1,
        )  # fmt: skip
        await eventually(lambda: any(number >= 35 for number in gate.calls))
        target = partition_id(run.id, 1) if whose == "partition" else run.id
        await reset(client, target, last=last)
        gate.open.set()
        # The handle from before the reset follows the run, and so does one made since.
        result = await asyncio.wait_for(run.result(), 60)
        again = fanout.get_run(client, run.id)
        assert await asyncio.wait_for(again.result(), 10) == result
        assert (result.succeeded, result.failed, result.not_run) == (40, 0, 0)
        assert [row.index async for row in again.results(ordered=True)] == list(range(40))
        folder = engine.store / run.id
    outputs = [path.parent for path in folder.glob("*/manifest.json")]
    assert len(outputs) == 1
    assert sorted(published(outputs[0])) == list(range(40))


async def test_batches_that_are_cut_otherwise_after_the_reset_meet_no_commit_of_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first life's batch 1 ends before its batch 0; in the second life both are taken over, in their order."""
    monkeypatch.setattr(topology, "FIRST_BATCH", 5000)
    monkeypatch.setattr(topology, "LARGEST_BATCH", 20_000)
    gate = asyncio.Event()

    @fanout.processor(name="uneven", timeout=None)
    async def uneven(number: int) -> int:
        if number < 1000:
            await asyncio.sleep(0.004)
        if number >= 59_900:
            await gate.wait()
        return number

    async with engine.worker(uneven) as client:
        run = await fanout.start(
            client, uneven, fanout.Range(60_000), id=engine.queue, task_queue=engine.queue,
            partition_size=60_000, max_concurrency=4, batch_concurrency=2, history_limit=5000,
        )  # fmt: skip
        commits = engine.store / run.id
        await eventually(lambda: len(list(commits.glob("*/_commits/*/*.json"))) >= 3)
        await reset(client, partition_id(run.id, 0))
        gate.set()
        assert (await asyncio.wait_for(run.result(), 60)).succeeded == 60_000
    (output,) = commits.glob("*")
    assert sorted(published(output)) == list(range(60_000))
