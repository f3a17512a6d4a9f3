"""Counters: in each kind of window, through retries, deaths of workers and zombies, what an item counts counts once."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

import fanout
from fanout.storage.layout import ROLL_UPS
from fanout.storage.roots import to_path
from tests.integration import processors_that_count as counts
from tests.integration.engine import Engine
from tests.integration.processors_in_workers import counted
from tests.integration.reducers_in_workers import Items, once
from tests.integration.workers import Workers
from tests.waiting import eventually

FAILING = [n for n in range(100) if n % 25 == 3]


@pytest.mark.parametrize("processor", [counts.in_tasks, counts.in_threads, counts.in_processes])
async def test_an_item_counts_what_its_last_attempt_counted_in_each_kind_of_window(
    engine: Engine, processor: fanout.Processor[..., Any]
) -> None:
    async with engine.worker(processor, processes=1) as client:
        ended = await engine.run(client, processor, fanout.Range(100), batch_size=30, partition_size=60)
        progress = await ended.run.progress()
    assert sorted(ended.failures) == FAILING
    assert ended.result.counters == {"usd": pytest.approx(2.0), "weight": 4950}
    assert progress.counters == ended.result.counters
    manifest = json.loads((ended.folder / "manifest.json").read_bytes())
    assert manifest["result"]["counters"] == ended.result.counters


@pytest.mark.parametrize(
    "processor", [counts.lists_in_tasks, counts.lists_in_threads, counts.lists_in_processes]
)
async def test_a_call_with_a_list_counts_once(engine: Engine, processor: fanout.Processor[..., Any]) -> None:
    async with engine.worker(processor, processes=1) as client:
        ended = await engine.run(client, processor, fanout.Range(100), batch_size=40, partition_size=100)
    assert sorted(ended.failures) == FAILING
    assert ended.result.counters == {"calls": 25}


async def test_a_call_with_a_list_counts_where_any_of_its_items_got_its_outcome(engine: Engine) -> None:
    async with engine.worker(counts.partly) as client:
        ended = await engine.run(client, counts.partly, fanout.Range(8), max_concurrency=2)
    assert len(ended.results) == 8
    again = int(ended.result.counters["again"])
    assert again == 5, "0 and 1, and the first of each other list"
    # Three first calls that have settled an item, and the calls with what was tried again.
    assert 3 + 3 <= ended.result.counters["calls"] <= 3 + 5


async def test_a_thread_that_was_given_up_counts_no_more(engine: Engine) -> None:
    async with engine.worker(counts.hangs) as client:
        ended = await engine.run(client, counts.hangs, fanout.Range(5))
    assert ended.result.counters == {"weight": 5000}


async def test_what_cannot_be_counted_fails_its_item_at_once_and_says_why(engine: Engine) -> None:
    async with engine.worker(counts.wrong) as client:
        ended = await engine.run(client, counts.wrong, fanout.Range(5), retries=5)
    assert sorted(ended.failures) == [1, 2, 3]
    assert {ended.failed(index)[::2] for index in ended.failures} == {("CountError", 1)}
    assert "finite numbers from 0 on, not nan" in ended.failures[1].message
    assert "one too many" in ended.failures[2].message
    assert "cannot name a counter" in ended.failures[3].message
    assert ended.result.counters["usd"] == 2


async def test_items_in_quarantine_count_once_and_what_the_guilty_one_counted_is_gone(
    engine: Engine, workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "done").mkdir()
    client = await engine.client(counts.poisoned)

    async def keep_alive() -> None:
        while True:
            process = await workers.start()
            await process.wait()

    keeping = asyncio.create_task(keep_alive())
    try:
        run = await engine.start(
            client, counts.poisoned, fanout.Range(40), params={"folder": str(tmp_path / "done")},
            batch_size=40, batch_concurrency=40, heartbeat_timeout=1, reduce=Items,
        )  # fmt: skip
        result = await asyncio.wait_for(run.result(), 90)
    finally:
        keeping.cancel()
        await workers.stop()
    assert (result.succeeded, result.failed) == (39, 1)
    assert result.counters == {"weight": 2.0**40 - 1 - 2.0**13}
    assert result.reduced == once(set(range(40)) - {13})


async def test_counters_and_reduced_values_are_the_sums_over_the_items_however_often_workers_die_and_come_back(
    engine: Engine, workers: Workers
) -> None:
    """One worker is killed between checkpoints, and another is stopped and goes on as a zombie."""
    client = await engine.client(counted)
    victim = await workers.start()
    items = 400
    run = await engine.start(
        client, counted, fanout.Range(items), params={"seconds": 0.1}, max_concurrency=20, batch_size=200,
        batch_concurrency=10, batch_seconds=60, checkpoint_seconds=0.5, heartbeat_timeout=1, reduce=Items,
    )  # fmt: skip
    await eventually(lambda: len(workers.intervals()) > 100)
    victim.kill()
    zombie = await workers.start()
    done = len(workers.intervals())
    await eventually(lambda: len(workers.intervals()) > done + 50, within=30)
    zombie.send_signal(signal.SIGSTOP)
    await workers.start()
    done = len(workers.intervals())
    await eventually(lambda: len(workers.intervals()) > done + 30, within=30)
    zombie.send_signal(signal.SIGCONT)
    result = await asyncio.wait_for(run.result(), 60)
    assert len(workers.intervals()) > items, "some items ran twice"
    rolled = [json.loads(path.read_bytes()) for path in sorted((to_path(result.output) / ROLL_UPS).iterdir())]
    assert sum(count for one in rolled for _, count in one["effort"]["attempts"]) >= items
    assert result.succeeded == items
    assert result.counters == {
        "items": items,
        "weight": sum(range(items)),
        "usd": pytest.approx(0.02 * items),
    }
    assert result.reduced == once(range(items))
    assert sum(one["totals"]["counters"]["weight"] for one in rolled) == sum(range(items))
