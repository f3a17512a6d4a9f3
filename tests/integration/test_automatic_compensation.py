"""Runs that start their compensation by themselves: when they do, and whatever dies meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import fanout
from fanout.compensation import Compensator
from fanout.inputs import CompensateInput
from fanout.models import Status
from fanout.parent.activities import ParentActivities
from fanout.storage.markers import claim
from fanout.storage.records import RunRecord
from fanout.storage.roots import Roots
from fanout.storage.stores import open_store
from fanout.workers.workbench import Workbench
from tests.integration.charges import (
    broken,
    charge,
    clean,
    compensated,
    held,
    keys_seen,
    numbers,
    refund,
    refunded,
)
from tests.integration.engine import Engine
from tests.integration.processors_in_workers import doubled, halved
from tests.integration.test_details import details_of
from tests.integration.workers import Workers
from tests.waiting import eventually

__all__ = ["clean"]


async def test_a_run_that_is_canceled_or_fails_too_often_starts_its_compensation_by_itself(
    engine: Engine,
) -> None:
    held.update(range(30, 60))
    async with engine.worker(charge, refund) as client:
        run = await engine.start(
            client, charge, fanout.Range(60), compensate=refund, batch_size=10, max_concurrency=20
        )
        await eventually(lambda: len(keys_seen.get("charge", ())) > 30)
        await run.cancel()
        with pytest.raises(fanout.RunFailed, match=f"what succeeded is undone: fanout watch {run.id}.comp"):
            await run.result()
        assert f"what succeeded is undone by run [`{run.id}.compensation`](namespaces/" in await details_of(
            run
        )
        info = await run.info()
        assert (info.status, info.compensation) == (Status.CANCELED, f"{run.id}.compensation")
        succeeded = [row.index async for row in run.results(ordered=True)]
        undoing = fanout.get_run(client, info.compensation)
        engine.started.append((client, undoing))
        result = await undoing.result()
        assert (result.status, result.items) == (Status.SUCCEEDED, len(succeeded))
        assert numbers(refunded) == succeeded != []
        assert (await run.compensate()).id == undoing.id

        held.clear()
        refunded.clear()
        broken.add(17)
        strict = await engine.start(
            client, charge, fanout.Range(30), compensate=refund, tolerated_failures=0, tolerance_sample=1
        )
        with pytest.raises(fanout.RunFailed, match=r"tolerated_failures is .*; what succeeded is undone"):
            await strict.result()
        undoing = fanout.get_run(client, f"{strict.id}.compensation")
        await undoing.result()
        assert numbers(refunded) == sorted([row.index async for row in strict.results()])


async def test_a_run_that_ends_well_or_undid_nothing_starts_no_compensation(engine: Engine) -> None:
    broken.update(range(3))
    async with engine.worker(charge, refund) as client:
        run = (await engine.run(client, charge, fanout.Range(10), compensate=refund)).run
        assert await run.compensation() is None
        assert not (await run.info()).compensation
        none = await engine.start(
            client, charge, fanout.Range(3), compensate=refund, tolerated_failures=0, tolerance_sample=1
        )
        with pytest.raises(fanout.RunFailed) as failure:
            await none.result()
        assert "undone" not in str(failure.value)
        assert await none.compensation() is None


async def test_a_compensation_that_cannot_be_started_does_not_keep_the_run_from_its_end(
    engine: Engine,
) -> None:
    async with engine.worker(charge, refund) as client:
        taken = f"{engine.queue}-x"
        held.add(3)
        blocking = await engine.start(client, charge, fanout.Range(5), id=f"{taken}.compensation")
        broken.add(17)
        run = await engine.start(
            client,
            charge,
            fanout.Range(4, 30),
            id=taken,
            compensate=refund,
            tolerated_failures=0,
            tolerance_sample=1,
        )
        with pytest.raises(fanout.RunFailed, match="tolerated_failures is 0"):
            await run.result()
        told = await details_of(run)
        assert "**FAILED_TOLERANCE_EXCEEDED**" in told
        assert f"its compensation was not started: `the compensation of run '{run.id}' needs the id" in told
        assert await run.compensation() is None
        with pytest.raises(fanout.RunExists, match="needs the id .*, which another run has"):
            await run.compensate()
        await blocking.cancel()
        with pytest.raises(fanout.RunFailed):
            await blocking.result()
        _, result = await compensated(engine, client, run)
        assert result.items == len(refunded) > 0
        assert (await run.compensation()) is not None


async def test_the_last_worker_dies_as_the_run_is_canceled_and_the_next_one_starts_the_compensation(
    engine: Engine, workers: Workers
) -> None:
    client = await engine.client(doubled, halved)
    await workers.start()
    run = await engine.start(
        client,
        doubled,
        fanout.Range(2000),
        params={"seconds": 0.05},
        compensate=halved,
        max_concurrency=20,
        batch_size=20,
        batch_concurrency=5,
        heartbeat_timeout=1,
    )
    await eventually(lambda: len(workers.intervals()) > 60)
    workers.running[0].kill()
    await run.cancel()
    await workers.start()
    with pytest.raises(fanout.RunFailed, match="was canceled; what succeeded is undone"):
        await asyncio.wait_for(run.result(), 60)
    undoing = await run.compensation()
    assert undoing is not None
    engine.started.append((client, undoing))
    result = await asyncio.wait_for(undoing.result(), 60)
    succeeded = [row.index async for row in run.results(ordered=True)]
    assert [row.index async for row in undoing.results(ordered=True)] == succeeded
    assert result.succeeded == len(succeeded) >= 20


async def test_a_worker_looks_at_no_output_outside_of_its_roots_to_compensate(engine: Engine) -> None:
    client = await engine.client(refund)
    output = (engine.folder / "out" / "run" / "execution").as_uri()
    outside = (engine.folder.parent / "outside").as_uri()
    source = fanout.Range(1).to_source()
    await claim(
        open_store(output), RunRecord("nonce", "run", "execution", "refund", "1", source, previous=outside)
    )
    activities = ParentActivities(Workbench({}, Roots([str(engine.folder)]), threads=1, processes=1))
    order = CompensateInput(output, "nonce", Compensator("undo"))
    with pytest.raises(ApplicationError, match="outside the allowed roots"):
        await ActivityEnvironment(client).run(activities.compensate, order)
