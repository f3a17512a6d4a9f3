"""Runs that are stopped in the middle: what was committed stays, and is told apart from the rest."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

import fanout
from fanout.children.batch import BatchActivity
from fanout.children.execution import Execution
from fanout.errors import StoreUnavailable
from fanout.models import RunResult, Status
from fanout.storage.roots import to_path
from tests.integration.engine import Engine, published
from tests.integration.gate import Gate
from tests.waiting import eventually


async def cut_short(run: fanout.Run, status: Status) -> RunResult | None:
    with pytest.raises(fanout.RunFailed) as caught:
        await asyncio.wait_for(run.result(), 20)
    assert caught.value.status == status
    return caught.value.result


async def test_a_run_that_is_canceled_keeps_what_was_committed_and_counts_the_rest_as_not_run(
    engine: Engine,
) -> None:
    gate = Gate(30)
    processor = fanout.processor(gate.__call__, name="gated")
    async with engine.worker(processor) as client:
        run = await engine.start(
            client, processor, fanout.Range(100), partition_size=20, batch_size=5, max_concurrency=20
        )
        await eventually(lambda: len(gate.held) >= 15)
        await run.cancel(reason="enough")
        result = await cut_short(run, Status.CANCELED)
        assert result is not None
        assert result.status is Status.CANCELED
        assert (result.items, result.succeeded, result.failed) == (100, 30, 0)
        assert result.not_run == 70
        assert [row.index async for row in run.results(ordered=True)] == list(range(30))
        assert await run.item(29) == fanout.ItemResult(29, "29", 29)
        assert await run.item(30) is None
        assert (await run.info()).status is Status.CANCELED
        assert (await run.progress()).succeeded == 30
    folder = to_path(result.output)
    assert sorted(published(folder)) == list(range(30))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert (manifest["result"]["status"], manifest["result"]["not_run"]) == ("CANCELED", 70)
    # What was cut off is not counted as failed, and ends no other way.
    assert gate.ended == set(range(30))
    with pytest.raises(fanout.RunFailed, match="70 were not run"):
        result.raise_for_failures()


async def test_a_cancellation_reaches_partitions_that_have_continued_as_new(engine: Engine) -> None:
    held: set[int] = set()

    @fanout.processor(name="ends_held")
    async def ends_held(number: int) -> int:
        if number % 300 >= 200:
            held.add(number)
            await asyncio.Event().wait()
        return number

    async with engine.worker(ends_held) as client:
        run = await engine.start(
            client,
            ends_held,
            fanout.Range(600),
            partition_size=300,
            batch_size=5,
            batch_concurrency=5,
            max_concurrency=20,
            history_limit=100,
        )
        await eventually(lambda: {number // 300 for number in held} == {0, 1})
        await run.cancel()
        result = await cut_short(run, Status.CANCELED)
        assert result is not None
        assert (result.succeeded, result.not_run) == (400, 200)
        partitions = [node for node in (await engine.histories(run)).walk() if not node.children]
        assert all(len(node.executions) > 1 for node in partitions)


async def test_what_is_cut_off_inside_a_batch_leaves_the_others_of_that_batch_whole(engine: Engine) -> None:
    @fanout.processor(name="evens")
    async def evens(number: int) -> int:
        if number % 2:
            waiting.add(number)
            await asyncio.Event().wait()
        return number

    waiting: set[int] = set()
    async with engine.worker(evens) as client:
        run = await engine.start(
            client, evens, fanout.Range(20), batch_size=20, batch_concurrency=20, max_concurrency=20
        )
        await eventually(lambda: len(waiting) == 10)
        await run.cancel()
        result = await cut_short(run, Status.CANCELED)
        assert result is not None
        assert (result.succeeded, result.not_run) == (10, 10)
        assert [row.index async for row in run.results(ordered=True)] == list(range(0, 20, 2))
    assert sorted(published(to_path(result.output))) == list(range(0, 20, 2))


async def test_an_item_that_cleans_up_after_its_cancellation_may_do_so(engine: Engine) -> None:
    begun, cleaned = asyncio.Event(), asyncio.Event()

    @fanout.processor(name="careful", retries=0)
    async def careful(number: int) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()
        return number

    @fanout.processor(name="wrapping", retries=0)
    async def wrapping(number: int) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("my own words") from None
        return number

    @fanout.processor(name="stubborn", retries=0)
    async def stubborn(number: int) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()
        return number

    async with engine.worker(careful, wrapping, stubborn) as client:
        for processor in (careful, wrapping, stubborn):
            begun.clear()
            run = await engine.start(client, processor, fanout.Range(2))
            await begun.wait()
            await run.cancel()
            result = await cut_short(run, Status.CANCELED)
            assert result is not None
            # Nothing of it is the item's own failure.
            assert (result.succeeded, result.failed, result.not_run) == (0, 0, 2)
    assert cleaned.is_set()


async def test_threads_cannot_be_cut_off_and_hold_up_nobody_who_cancels(engine: Engine) -> None:
    release, begun = threading.Event(), threading.Event()

    @fanout.processor(name="blocked")
    def blocked(number: int) -> int:
        if number:
            begun.set()
            release.wait(20)
        return number

    try:
        async with engine.worker(blocked) as client:
            run = await engine.start(client, blocked, fanout.Range(50), batch_size=10, max_concurrency=10)
            await eventually(begun.is_set)
            await run.cancel()
            result = await cut_short(run, Status.CANCELED)
            assert result is not None
            assert result.succeeded + result.not_run == 50
            assert result.not_run >= 40
    finally:
        release.set()


async def test_a_run_canceled_before_any_worker_came_ends_when_one_comes(engine: Engine) -> None:
    gate = Gate(0)
    processor = fanout.processor(gate.__call__, name="gated")
    client = await engine.client(processor)
    run = await engine.start(client, processor, fanout.Range(10))
    await run.cancel()
    async with engine.worker(processor):
        await cut_short(run, Status.CANCELED)
    assert not gate.held


async def test_canceling_twice_or_after_the_end_does_no_harm(engine: Engine) -> None:
    gate = Gate(5)
    processor = fanout.processor(gate.__call__, name="gated")
    async with engine.worker(processor) as client:
        run = await engine.start(client, processor, fanout.Range(10))
        await eventually(lambda: gate.held)
        await asyncio.gather(run.cancel(), run.cancel())
        await cut_short(run, Status.CANCELED)
        with pytest.raises(fanout.RunNotFound, match="has ended"):
            await run.cancel()


async def test_canceling_at_any_moment_loses_no_result_and_runs_none_twice(engine: Engine) -> None:
    """A run in small pieces, canceled at moments spread over its whole life."""

    @fanout.processor(name="quick")
    async def quick(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    async with engine.worker(quick) as client:
        runs = [
            await engine.start(
                client,
                quick,
                fanout.Range(60),
                partition_size=20,
                batch_size=5,
                batch_concurrency=5,
                max_concurrency=10,
            )
            for _ in range(10)
        ]

        async def cancel_at(run: fanout.Run, seconds: float) -> None:
            await asyncio.sleep(seconds)
            try:
                await run.cancel()
            except fanout.RunNotFound:
                return

        await asyncio.gather(*(cancel_at(run, 0.15 * n) for n, run in enumerate(runs)))
        for run in runs:
            try:
                result: RunResult | None = await asyncio.wait_for(run.result(), 20)
            except fanout.RunFailed as error:
                result, status = error.result, error.status
                assert status == Status.CANCELED
            if result is None:
                continue  # canceled while it was being planned
            rows = [row.index async for row in run.results(ordered=True)]
            assert len(rows) == len(set(rows)) == result.succeeded
            assert result.succeeded + result.not_run == 60
            assert sorted(published(to_path(result.output))) == rows


async def test_a_run_that_is_terminated_ends_at_once_and_its_committed_results_stay(engine: Engine) -> None:
    gate = Gate(10)
    processor = fanout.processor(gate.__call__, name="gated")
    async with engine.worker(processor, shutdown_timeout=0.1) as client:
        run = await engine.start(client, processor, fanout.Range(30), batch_size=10, max_concurrency=10)
        await eventually(lambda: gate.held)
        await run.terminate(reason="now")
        assert await cut_short(run, Status.TERMINATED) is None
        assert [row.index async for row in run.results(ordered=True)] == list(range(10))
        assert (await run.progress()).status is Status.TERMINATED


async def test_what_a_batch_committed_before_it_fell_silent_counts_in_a_canceled_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the commit decides a key: without looking for it, its items would be there and reported as not run."""
    silent = asyncio.Event()
    run_as_usual = BatchActivity._run_items

    async def fall_silent(self: BatchActivity, job: Any, left: Any) -> Any:
        await run_as_usual(self, job, left)
        silent.set()
        await asyncio.sleep(4)
        raise OSError("the server has given it up since")

    monkeypatch.setattr(BatchActivity, "_run_items", fall_silent)
    processor = fanout.processor(Gate(100).__call__, name="gated")
    async with engine.worker(processor) as client:
        run = await engine.start(client, processor, fanout.Range(10), heartbeat_timeout=1, max_concurrency=10)
        await asyncio.wait_for(silent.wait(), 20)
        await run.cancel()
        # All were done by then: there is nothing left to cancel.
        assert (await asyncio.wait_for(run.result(), 30)).succeeded == 10
        folder = to_path(await run.output())
    assert sorted(published(folder)) == list(range(10))


async def test_what_a_batch_is_to_hand_back_is_not_lost_where_the_run_is_canceled_meanwhile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealing waits for the store: cut off then, nobody would know what has become of the items."""
    begun, refused, back = asyncio.Event(), asyncio.Event(), asyncio.Event()
    run_as_usual, seal_as_usual = BatchActivity._run_items, Execution.seal

    async def end_without_commit(self: BatchActivity, job: Any, left: Any) -> Any:
        if job.batch.start < 20:
            return await run_as_usual(self, job, left)
        begun.set()
        return await asyncio.Event().wait()

    async def seal(self: Execution) -> Any:
        if not back.is_set():
            refused.set()
            raise StoreUnavailable("the store is away")
        return await seal_as_usual(self)

    monkeypatch.setattr(BatchActivity, "_run_items", end_without_commit)
    monkeypatch.setattr(Execution, "seal", seal)
    processor = fanout.processor(Gate(100).__call__, name="gated")
    async with engine.worker(processor) as client:
        run = await engine.start(
            client, processor, fanout.Range(40), batch_size=10, max_concurrency=10, heartbeat_timeout=2
        )
        await asyncio.wait_for(begun.wait(), 20)
        await run.pause(now=True)
        await asyncio.wait_for(refused.wait(), 20)
        await run.cancel()
        await eventually(lambda: _is_canceling(run))
        back.set()
        result = await cut_short(run, Status.CANCELED)
    assert result is not None
    assert (result.succeeded, result.not_run) == (20, 20)
    assert sorted(published(to_path(result.output))) == list(range(20))


async def _is_canceling(run: fanout.Run) -> bool:
    return any(event.kind == "cancel" for event in await run.events())
