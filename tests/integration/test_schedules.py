"""Runs that a schedule of the real server starts: over the files of their own dates, each with an output of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleBackfill,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

import fanout
from fanout.models import Status
from fanout.storage.markers import load_run
from fanout.storage.stores import open_store
from tests.integration.engine import Engine, assert_never_stuck, done, write_lines
from tests.waiting import eventually


@fanout.processor(name="greet")
async def greet(name: str, *, greeting: str = "hello") -> str:
    return f"{greeting} {name}"


@asynccontextmanager
async def scheduled(
    engine: Engine, client: Client, reader: fanout.Reader, **arguments: Any
) -> AsyncIterator[ScheduleHandle]:
    """Have a schedule that starts nothing by itself for a year."""
    action = await fanout.schedule_action(
        client, greet, reader, id=engine.queue, task_queue=engine.queue, **arguments
    )
    made = await client.create_schedule(
        engine.queue,
        Schedule(
            action=action,
            spec=ScheduleSpec(cron_expressions=["0 2 * * *"], time_zone_name="Europe/Berlin"),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
            state=ScheduleState(paused=True),
        ),
    )
    yield made
    await made.delete()


async def runs_of(client: Client, schedule: ScheduleHandle, count: int) -> list[fanout.Run]:
    """Return the runs that a schedule has started, once there are so many."""

    async def started() -> bool:
        return (await schedule.describe()).info.num_actions >= count

    await eventually(started)
    recent = (await schedule.describe()).info.recent_actions
    return [fanout.get_run(client, getattr(one.action, "workflow_id", "")) for one in recent]


async def test_days_that_are_over_are_made_up_for_each_with_its_own_file(engine: Engine) -> None:
    for day, name in (("2026-01-04", "Ada"), ("2026-01-05", "Bob")):
        write_lines(engine.folder / f"{day}.jsonl", [name])
    reader = fanout.JsonLines(engine.folder / "{date-1d:%Y-%m-%d}.jsonl")
    params = {"greeting": "{date:%d.%m. %H h}"}
    async with (
        engine.worker(greet) as client,
        scheduled(engine, client, reader, params=params, time_zone="Europe/Berlin") as schedule,
    ):
        begin = datetime(2026, 1, 4, 12, tzinfo=UTC)
        await schedule.backfill(
            ScheduleBackfill(begin, begin + timedelta(days=2), overlap=ScheduleOverlapPolicy.ALLOW_ALL)
        )
        runs = await runs_of(client, schedule, 2)
        assert sorted(run.id for run in runs) == [
            f"{engine.queue}-2026-01-05T01:00:00Z",
            f"{engine.queue}-2026-01-06T01:00:00Z",
        ]
        ended = [await done(run) for run in runs]
        assert sorted(one.results[0] for one in ended) == ["05.01. 02 h Ada", "06.01. 02 h Bob"]
        for one in ended:
            assert_never_stuck(await engine.histories(one.run))
            # The run is listed as any other, with its store; its marker says what it has read.
            info = await one.run.info()
            assert (info.processor, info.status, info.items) == ("greet", Status.SUCCEEDED, 1)
            record = await load_run(open_store(info.output), None)
            [path] = record.source.args["path"]
            assert path.startswith(f"file://{engine.folder}/2026-01-0")
            assert record.params["greeting"].endswith("02 h")
    records = [await load_run(open_store(one.result.output), None) for one in ended]
    assert len({record.nonce for record in records}) == 2


async def test_a_file_that_is_not_there_fails_the_run_that_needs_it(engine: Engine) -> None:
    reader = fanout.JsonLines(engine.folder / "none-{date:%Y}.jsonl")
    async with engine.worker(greet) as client, scheduled(engine, client, reader) as schedule:
        await schedule.trigger()
        [run] = await runs_of(client, schedule, 1)
        with pytest.raises(fanout.RunFailed, match=rf"none-{datetime.now(UTC):%Y}\.jsonl"):
            await run.result()


@pytest.mark.parametrize(
    ("reader", "arguments", "says"),
    [
        (fanout.Items([1, 2]), {}, "cannot have items from memory"),
        ([1, 2], {}, "needs a reader, such as fanout.Csv, not a list"),
        (fanout.Csv("{day}.csv"), {}, "{day} in .* is no date"),
        (fanout.Range(3), {"id": "x-{date:%Y}"}, "every run has its time in its id"),
        (fanout.Range(3), {"output": "s3://b/{date:%Y}"}, "every run has its time in its id"),
        (fanout.Range(3), {"id": "x" * 180}, "at most 170 characters"),
        (fanout.Range(3), {"time_zone": "Mars"}, "no time zone 'Mars'"),
        (fanout.Range(3), {"params": {"greeting": "{date:%z}"}}, "%z in .* is no part of a date"),
        (fanout.Range(3), {"params": {"volume": 11}}, "volume"),
        (fanout.Range(3), {"retries": -1}, "retries"),
    ],
)
async def test_what_makes_no_sense_is_told_before_there_is_a_schedule(
    client: Client, reader: Any, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(fanout.UsageError, match=says):
        await fanout.schedule_action(client, greet, reader, **{"id": "x", **arguments})


async def test_a_file_without_a_date_must_be_there(client: Client, engine: Engine) -> None:
    with pytest.raises(fanout.SourceError, match="none.csv"):
        await fanout.schedule_action(client, greet, fanout.Csv(engine.folder / "none.csv"), id="x")
