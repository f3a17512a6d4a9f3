"""What commits and roll-ups say of the work behind them: durations, places of the window, retries, what ran twice."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

import fanout
from fanout.durations import quantile
from fanout.storage import codec
from fanout.storage.layout import COMMITS, ROLL_UPS
from fanout.storage.records import Commit, Effort, RollUp
from fanout.storage.roots import to_path
from tests.integration import processors_in_processes as in_processes
from tests.integration.engine import Engine
from tests.integration.processors_in_workers import timed
from tests.integration.workers import Workers
from tests.waiting import eventually


def roll_ups(folder: Path) -> list[RollUp]:
    return [
        codec.decode(RollUp, path.read_bytes(), path.name) for path in sorted((folder / ROLL_UPS).iterdir())
    ]


def commits(folder: Path) -> list[Commit]:
    return [codec.decode(Commit, p.read_bytes(), p.name) for p in sorted((folder / COMMITS).rglob("*.json"))]


@fanout.processor(name="slow in tasks", retries=1)
async def slow_in_tasks(number: int) -> int:
    await asyncio.sleep(0.3 if number % 20 == 0 else 0.06)
    if number % 10 == 0 and fanout.info().attempt == 1:
        raise ValueError("again")
    return number


@fanout.processor(name="slow in threads", retries=1)
def slow_in_threads(number: int) -> int:
    time.sleep(0.3 if number % 20 == 0 else 0.06)
    if number % 10 == 0 and fanout.info().attempt == 1:
        raise ValueError("again")
    return number


@fanout.processor(name="slow lists", list_size=5)
async def slow_lists(numbers: list[int]) -> list[int]:
    await asyncio.sleep(0.06)
    return numbers


async def effort_of(
    engine: Engine, processor: fanout.Processor[..., Any], items: int, **options: Any
) -> Effort:
    async with engine.worker(processor, processes=1) as client:
        ended = await engine.run(
            client, processor, fanout.Range(items), max_concurrency=10, batch_size=50, batch_concurrency=10,
            **options,
        )  # fmt: skip
    [roll_up] = roll_ups(ended.folder)
    found = commits(ended.folder)
    assert roll_up.effort == sum((one.effort for one in found), Effort())
    assert sum(one.succeeded for one in roll_up.timeline) == items
    assert all(0 < one.end - one.begin < 60 for one in roll_up.timeline)
    assert max(len(json.dumps(json.loads(codec.encode(one))["effort"])) for one in found) < 400
    return roll_up.effort


@pytest.mark.parametrize("processor", [slow_in_tasks, slow_in_threads])
async def test_attempts_are_counted_by_duration_and_items_in_flight_by_place(
    engine: Engine, processor: fanout.Processor[..., Any]
) -> None:
    effort = await effort_of(engine, processor, 100)
    assert sum(count for _, count in effort.attempts) == 110
    assert effort.retries == 10
    assert effort.repeated == 0
    assert quantile(effort.attempts, 0.8) in (0.1, 0.2)
    assert quantile(effort.attempts, 1) in (0.5, 1.0)
    slept = 100 * 0.06 + 10 * 0.06 + 10 * 0.24
    assert slept <= effort.busy < 2 * slept
    assert 0.3 < effort.busy / effort.offered <= 1.0


async def test_a_list_is_one_attempt_and_its_items_are_in_flight(engine: Engine) -> None:
    effort = await effort_of(engine, slow_lists, 100)
    assert sum(count for _, count in effort.attempts) == 20
    assert 100 * 0.06 <= effort.busy < 3 * 100 * 0.06


async def test_what_runs_again_after_a_death_is_counted(engine: Engine, workers: Workers) -> None:
    client = await engine.client(timed)
    victim = await workers.start()
    run = await engine.start(
        client, timed, fanout.Range(200), params={"seconds": 0.1}, max_concurrency=10, batch_size=200,
        batch_concurrency=10, batch_seconds=60, heartbeat_timeout=1,
    )  # fmt: skip
    # Long after the first heartbeat, and without a checkpoint.
    await eventually(lambda: len(workers.intervals()) > 100)
    victim.kill()
    done = len(workers.intervals())
    await workers.start()
    result = await asyncio.wait_for(run.result(), 60)
    [roll_up] = roll_ups(to_path(result.output))
    assert 0 < roll_up.effort.repeated <= done + 10


async def test_waiting_for_a_process_is_no_time_of_an_item(engine: Engine) -> None:
    effort = await effort_of(engine, in_processes.slow, 12, params={"seconds": 0.2})
    assert quantile(effort.attempts, 0.8) in (0.2, 0.5)
    assert effort.busy < 12 * 0.2 * 2
    assert effort.busy / effort.offered < 0.4, "one of ten places at a time"


async def test_a_report_of_a_run_that_goes_on_needs_no_worker_and_one_of_no_run_is_an_error(
    engine: Engine, workers: Workers, tmp_path: Path
) -> None:
    client = await engine.client(timed)
    worker = await workers.start()
    run = await engine.start(
        client, timed, fanout.Range(900), params={"seconds": 0.05}, batch_size=5, batch_concurrency=5,
        max_concurrency=5,
    )  # fmt: skip
    await eventually(lambda: len(workers.intervals()) >= 20)
    worker.kill()
    await worker.wait()
    page = (await run.report(tmp_path / "report.html")).read_text()
    assert "This run goes on" in page
    assert "<dt>succeeded</dt><dd" in page
    assert len(commits(to_path(await run.output()))) >= 2
    assert "1 partition began; 1 had not ended, no item failed" in page
    await run.terminate()
    assert "TERMINATED" in (await run.report(tmp_path / "report.html")).read_text()
    with pytest.raises(fanout.RunNotFound, match="no run 'nobody'"):
        await fanout.get_run(client, "nobody").report(tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()
