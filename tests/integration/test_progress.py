"""A run's numbers: right at the first look, never going back, at the cost of the live nodes alone."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, Interceptor, OutboundInterceptor, QueryWorkflowInput

import fanout
from fanout import wire
from fanout.models import Progress, Status
from tests.integration.engine import Engine, write_lines
from tests.waiting import eventually


class Held:
    """Items from some number on are held, until the test says otherwise."""

    def __init__(self, below: int) -> None:
        self.below = below

    async def __call__(self, number: int) -> int:
        await eventually(lambda: number < self.below, within=60)
        if number % 10 == 9:
            raise fanout.ItemError("ends in 9", retryable=False)
        return number

    @property
    def processor(self) -> Any:
        return fanout.processor(self.__call__, name="held")


class Count(Interceptor):
    """Counts the queries that a client sends."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        counts = self.queries

        class Counting(OutboundInterceptor):
            async def query_workflow(self, input: QueryWorkflowInput) -> Any:
                counts[input.query] += 1
                return await super().query_workflow(input)

        return Counting(next)


async def until_done(run: fanout.Run, count: int) -> Progress:
    """Return the first numbers with so many items done."""
    seen: list[Progress] = []

    async def done() -> bool:
        seen.append(await run.progress())
        return seen[-1].done >= count

    await eventually(done)
    return seen[-1]


async def test_a_look_costs_one_query_for_each_live_node_however_many_have_ended(engine: Engine) -> None:
    held = Held(10)
    counting = Count()
    async with engine.worker(held.processor) as client:
        started = await engine.start(
            client,
            held.processor,
            fanout.Range(100),
            partition_size=5,
            batch_size=5,
            batch_concurrency=5,
            max_concurrency=10,
        )
        other = await Client.connect(
            engine.server.address, interceptors=[counting], plugins=[fanout.Plugin([])]
        )
        run = fanout.get_run(other, started.id)
        asked = []
        for below in (10, 90):
            held.below = below
            await until_done(started, below)
            # Not before: one that is about to end counts as live, and another one has yet to begin.
            await eventually(lambda: _live(started, 2, ended=below // 5))  # noqa: B023 - awaited here
            counting.queries.clear()
            seen = await run.progress()
            asked.append((seen.partitions, seen.ended, counting.queries[wire.PROGRESS_QUERY]))
        held.below = 100
        await started.result()
    assert asked == [(2, 2, 3), (2, 18, 3)]


async def _live(run: fanout.Run, partitions: int, *, ended: int) -> bool:
    seen = await run.progress()
    return (seen.partitions, seen.ended, seen.silent) == (partitions, ended, 0) and seen.in_flight > 0


async def test_the_first_look_knows_the_rate_and_when_the_run_will_have_ended(engine: Engine) -> None:
    held = Held(40)
    async with engine.worker(held.processor) as client:
        run = await engine.start(
            client, held.processor, fanout.Range(60), partition_size=10, batch_size=5, max_concurrency=60
        )
        await until_done(run, 40)
        seen = await fanout.get_run(client, run.id).progress()
        # Four partitions have ended, and have handed their counts to the root.
        assert 40 / (seen.seconds + 1) <= seen.rate <= 40
        assert seen.eta == 20 / seen.rate
        assert seen.basis.startswith("at ")
        await run.pause()
        paused = await run.progress()
        assert (paused.status, paused.eta, paused.basis) == (Status.PAUSED, None, "")
        await run.resume()
        held.below = 60
        await run.result()


async def test_the_rate_survives_continue_as_new(engine: Engine) -> None:
    held = Held(110)
    async with engine.worker(held.processor) as client:
        run = await engine.start(
            client, held.processor, fanout.Range(120),
            batch_size=1, batch_concurrency=1, max_concurrency=8, history_limit=150,
        )  # fmt: skip
        seen = await until_done(run, 110)
        assert seen.rate * max(seen.seconds, 1) == pytest.approx(110, rel=0.2)
        held.below = 120
        await run.result()
        partition = (await engine.histories(run)).children[0]
    assert len(partition.executions) > 1


async def test_items_that_wait_for_another_attempt_are_told(engine: Engine) -> None:
    calls: Counter[int] = Counter()

    @fanout.processor(name="later", retries=1)
    async def later(number: int) -> int:
        calls[number] += 1
        if number < 3 and calls[number] == 1:
            raise fanout.ItemError("later", retry_after=4)
        return number

    async with engine.worker(later) as client:
        run = await engine.start(client, later, fanout.Range(20), batch_seconds=1)
        await eventually(lambda: _waiting(run))
        seen = await run.progress()
        assert (seen.waiting, seen.done, seen.total) == (3, 17, 20)
        assert (await run.result()).succeeded == 20


async def _waiting(run: fanout.Run) -> bool:
    return bool((await run.progress()).waiting)


async def test_numbers_do_not_go_back_when_a_partition_fails(engine: Engine) -> None:
    """Each look is a stranger's, who remembers nothing."""
    held = Held(10)
    path = write_lines(engine.folder / "changing.jsonl", range(40))
    async with engine.worker(held.processor) as client:
        run = await engine.start(
            client, held.processor, fanout.JsonLines(path),
            partition_size=30, batch_size=5, batch_concurrency=5, max_concurrency=10,
        )  # fmt: skip
        await until_done(run, 10)
        path.write_text("changed")
        held.below = 60
        seen = [await run.progress()]
        while seen[-1].status.live:
            seen.append(await fanout.get_run(client, run.id).progress())
            if not seen[-1].silent:
                assert (seen[-1].succeeded, seen[-1].failed) >= (seen[-2].succeeded, seen[-2].failed)
        assert seen[-1].status is Status.FAILED
        with pytest.raises(fanout.RunFailed) as failed:
            await run.result()
    # The result counts partitions that were published: the first one was not.
    assert failed.value.result is not None
    assert seen[-1].done >= 10 > failed.value.result.succeeded + failed.value.result.failed


async def test_without_workers_the_numbers_are_those_of_the_store(engine: Engine) -> None:
    held = Held(25)
    async with engine.worker(held.processor, shutdown_timeout=0.1) as client:
        run = await engine.start(
            client, held.processor, fanout.Range(60), partition_size=10, batch_size=5, max_concurrency=60
        )
        await until_done(run, 25)
        await eventually(lambda: _ended(run, 2))
        live = await run.partitions()
        all_of_them = await run.partitions(ended=True)
    assert [(one.partition, one.items, one.done, one.failed, one.ended) for one in all_of_them] == [
        (0, 10, 10, 1, True),
        (1, 10, 10, 1, True),
        (2, 10, 5, 0, False),
        *((number, 10, 0, 0, False) for number in (3, 4, 5)),
    ]
    assert [one.partition for one in live] == [2, 3, 4, 5]
    assert live[0].in_flight == 5
    began = time.monotonic()
    seen = await fanout.get_run(client, run.id).progress(within=1)
    assert time.monotonic() - began < 4
    assert (seen.stale, seen.status, seen.done, seen.failed, seen.ended) == (True, Status.RUNNING, 25, 2, 2)
    assert (seen.total, seen.planned, seen.eta) == (60, True, None)
    assert "do not answer" in seen.note
    assert seen.as_of is not None
    assert time.time() - 60 < seen.as_of < time.time() + 5
    with pytest.raises(fanout.NoWorker):
        await run.partitions(within=0.5)
    assert await run.ended_partitions() == all_of_them[:2]
    await run.terminate()


async def _ended(run: fanout.Run, partitions: int) -> bool:
    return (await run.progress()).ended == partitions


async def test_a_store_that_cannot_be_read_either_is_told(engine: Engine) -> None:
    held = Held(0)
    client = await engine.client(held.processor)
    run = await engine.start(client, held.processor, fanout.Range(5))
    seen = await run.progress()
    assert (seen.stale, seen.done, seen.total, seen.as_of) == (True, 0, 0, None)
    output = Path((await run.output()).removeprefix("file://"))
    output.parent.mkdir(parents=True)
    output.mkdir()
    (output / "_RUN").write_text("no marker")
    with pytest.raises(
        fanout.NoWorker, match=f'no worker polls "{engine.queue}"; nor does its store: .*_RUN'
    ):
        await run.progress()
    await run.terminate()
