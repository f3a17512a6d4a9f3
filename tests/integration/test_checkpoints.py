"""Long batches and their checkpoints: what a worker's death repeats, and what a retry far away does not hold up."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

import fanout
from fanout.storage import checkpoints
from fanout.storage.records import Commit
from fanout.storage.roots import to_path
from fanout.storage.stores import Store
from tests.integration.engine import Engine, published
from tests.integration.processors_in_workers import timed
from tests.integration.workers import Workers
from tests.waiting import eventually


def executions(workers: Workers) -> Counter[int]:
    return Counter(index for _, _, index in workers.intervals())


async def checkpoints_in(run: fanout.Run) -> list[Path]:
    return sorted((to_path(await run.output()) / "_checkpoints").rglob("*.json"))


async def test_a_batch_whose_worker_is_killed_goes_on_from_its_checkpoint(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(timed)
    victim = await workers.start()
    run = await engine.start(
        client, timed, fanout.Range(400), params={"seconds": 0.1}, max_concurrency=10, batch_size=400,
        batch_concurrency=10, batch_seconds=60, checkpoint_seconds=0.5, heartbeat_timeout=1,
    )  # fmt: skip
    await eventually(lambda: len(workers.intervals()) > 150)
    victim.kill()
    done_before = len(workers.intervals())
    await workers.start()
    result = await asyncio.wait_for(run.result(), 60)
    assert result.succeeded == 400
    assert sorted(published(to_path(result.output))) == list(range(400))
    counts = executions(workers)
    repeated = sum(counts.values()) - 400
    # Half a second of ten items that take 0.1 s each, and what was in flight when a checkpoint was written.
    assert repeated <= 50 + 3 * 10, f"{repeated} of {done_before} items ran again"
    assert not await checkpoints_in(run)


async def test_a_batch_shorter_than_its_interval_writes_no_checkpoint(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    save_as_usual = checkpoints.save

    async def save(store: Store, checkpoint: Commit, number: int) -> str:
        saved.append(await save_as_usual(store, checkpoint, number))
        return saved[-1]

    monkeypatch.setattr(checkpoints, "save", save)

    @fanout.processor(name="short")
    async def short(number: int) -> int:
        await asyncio.sleep(0.05)
        return number

    shape = {"batch_size": 100, "batch_concurrency": 10, "max_concurrency": 10}
    async with engine.worker(short) as client:
        await engine.run(client, short, fanout.Range(100), **shape, checkpoint_seconds=10)
        assert not saved
        await engine.run(client, short, fanout.Range(100), **shape, checkpoint_seconds=0.1)
        assert len(saved) > 1


async def test_a_retry_far_away_is_handed_back_and_run_when_it_is_due(engine: Engine) -> None:
    calls: dict[int, list[tuple[float, int]]] = {}

    @fanout.processor(name="later", retries=2)
    async def later(number: int) -> int:
        attempt = fanout.info().attempt
        calls.setdefault(number, []).append((time.monotonic(), attempt))
        if number % 10 == 0 and attempt == 1:
            raise fanout.ItemError("busy", retry_after=6)
        if number == 55 and attempt < 3:
            raise ApplicationError("busy too", next_retry_delay=timedelta(seconds=5.5))
        return number

    async with engine.worker(later) as client:
        began = time.monotonic()
        ended = await engine.run(client, later, fanout.Range(200), batch_size=50, partition_size=100)
    assert ended.results == {number: number for number in range(200)}
    assert sorted(published(ended.folder)) == list(range(200))
    first_done = max(seen[0][0] for seen in calls.values())
    assert first_done - began < 5, "the others did not wait"
    for number, seen in calls.items():
        attempts = [attempt for _, attempt in seen]
        if number % 10 == 0:
            assert attempts == [1, 2]
            assert 5.9 < seen[1][0] - seen[0][0] < 12
        elif number == 55:
            assert attempts == [1, 2, 3]
        else:
            assert attempts == [1]


async def test_a_non_retryable_error_ends_an_item_whatever_delay_it_names(engine: Engine) -> None:
    @fanout.processor(name="never", retries=5, non_retryable=["Hopeless"])
    async def never(number: int) -> int:
        delay = timedelta(seconds=30)
        raise ApplicationError("no", type="Hopeless", next_retry_delay=delay)

    async with engine.worker(never) as client:
        ended = await engine.run(client, never, fanout.Range(2))
    assert [ended.failed(index) for index in (0, 1)] == [("Hopeless", "no", 1)] * 2


async def test_many_scattered_retries_stay_small_in_history(engine: Engine) -> None:
    """A thousand items that wait are a few references, also over continue-as-new."""

    @fanout.processor(name="scattered", retries=3)
    async def scattered(number: int) -> int:
        if number % 3 == 0 and fanout.info().attempt == 1:
            raise fanout.ItemError("later", retry_after=6)
        return number

    async with engine.worker(scattered) as client:
        ended = await engine.run(
            client, scattered, fanout.Range(3000), partition_size=3000, batch_size=4, batch_concurrency=2,
            max_concurrency=40, history_limit=600,
        )  # fmt: skip
        root = await engine.histories(ended.run)
    assert len(ended.results) == 3000
    assert sorted(published(ended.folder)) == list(range(3000))
    (partition,) = root.children
    assert len(partition.executions) > 2
    inputs = [
        sum(len(p.data) for p in events[0].workflow_execution_started_event_attributes.input.payloads)
        for events in partition.executions
    ]
    assert max(inputs) < 64 * 1024, inputs


async def test_a_canceled_run_says_of_items_that_wait_that_they_were_not_run(engine: Engine) -> None:
    @fanout.processor(name="waits", retries=3)
    async def waits(number: int) -> int:
        if number % 2 == 0:
            raise fanout.ItemError("in an hour", retry_after=3600)
        return number

    async with engine.worker(waits) as client:
        run = await engine.start(client, waits, fanout.Range(40), batch_size=10, partition_size=20)
        output = to_path(await run.output())
        await eventually(lambda: len(list((output / "_commits").rglob("*.json"))) == 4)
        await run.cancel()
        with pytest.raises(fanout.RunFailed) as caught:
            await run.result()
    assert caught.value.result is not None
    assert (caught.value.result.succeeded, caught.value.result.not_run) == (20, 20)
    manifest = json.loads((output / "manifest.json").read_bytes())
    assert manifest["result"]["not_run"] == 20
    assert sorted(published(output)) == list(range(1, 40, 2))


async def test_attempts_survive_the_shutdown_of_a_worker(engine: Engine) -> None:
    """A deployment uses up no attempts, and forgets none."""
    seen: dict[int, list[int]] = {}
    hold = asyncio.Event()

    @fanout.processor(name="patient", retries=2, timeout=None)
    async def patient(number: int) -> int:
        attempt = fanout.info().attempt
        seen.setdefault(number, []).append(attempt)
        if number < 5 and attempt < 3:
            raise ValueError("not yet")
        if number >= 5 and not hold.is_set():
            await asyncio.Event().wait()
        return number

    async with engine.worker(patient, shutdown_timeout=1.0) as client:
        run = await engine.start(
            client, patient, fanout.Range(10), max_concurrency=10, batch_concurrency=10, retry_initial=2
        )
        await eventually(lambda: len(seen) == 10)
        began = time.monotonic()
    assert time.monotonic() - began < 3, "it waited for no timeout"
    hold.set()
    async with engine.worker(patient):
        result = await asyncio.wait_for(run.result(), 30)
    assert result.succeeded == 10
    assert {tuple(seen[number]) for number in range(5)} == {(1, 2, 3)}
    assert {tuple(seen[number]) for number in range(5, 10)} == {(1, 1)}
