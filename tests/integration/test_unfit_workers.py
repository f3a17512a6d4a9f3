"""Workers that disagree: a run waits for one that is fit, and says why it waits."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

import fanout
from fanout.runs.trouble import find_trouble
from fanout.storage import markers
from tests.integration.engine import Engine, done, published
from tests.waiting import eventually

ITEMS = 300
SHAPE = {"batch_size": 30, "max_concurrency": 15, "batch_concurrency": 5, "heartbeat_timeout": 5}
"""A worker that is being stopped may still be given a batch, which comes back with this timeout only."""

started: set[int] = set()


async def work(item: int) -> int:
    started.add(item)
    await asyncio.sleep(0.05)
    return item


step = fanout.processor(name="step", version=2)(work)
old_step = fanout.processor(name="step", version="1.9")(work)


@fanout.processor
async def other(item: int) -> int:
    return item


@pytest.fixture(autouse=True)
def none_started() -> None:
    started.clear()


async def until(ask: Callable[[], Awaitable[object]]) -> None:
    """Return once the answer of the server is a true one."""
    async with asyncio.timeout(20):
        while not await ask():  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)


async def trouble(run: fanout.Run, pattern: str) -> str:
    """Wait until the run says that it is in this trouble."""
    said = ""

    async def matches() -> bool:
        nonlocal said
        said = await run.trouble() or ""
        return re.search(pattern, said) is not None

    await until(matches)
    return said


def unfit(engine: Engine, sort: str, elsewhere: Path) -> AbstractAsyncContextManager[Client]:
    """Return a worker of the test's queue that cannot run the test's batches."""
    if sort == "lacks it":
        return engine.worker(other, identity="unfit@host")
    if sort == "older":
        return engine.worker(old_step, identity="unfit@host")
    return engine.worker(step, identity="unfit@host", store=elsewhere, allowed_roots=[elsewhere])


REASONS = {
    "lacks it": r"^fanout:step is being repeated \(attempt \d+\): worker unfit@host has no processor 'step': start one "
    r"that has it on this queue, or stop the one that has not$",
    "older": r"^fanout:step is being repeated \(attempt \d+\): worker unfit@host has version 1\.9 of processor 'step', "
    r"the run was planned with 2: waiting for a worker that has it$",
    "other roots": r"being repeated \(attempt \d+\): worker unfit@host: .* is outside the allowed roots .*--allow-root",
}


@asynccontextmanager
async def half_done(engine: Engine, **worker: Any) -> AsyncIterator[fanout.Run]:
    """Yield a run in the middle of which its only worker has been stopped."""
    async with engine.worker(step, **worker) as client:
        run = await engine.start(client, step, fanout.Range(ITEMS), **SHAPE)
        await eventually(lambda: started)
    assert len(started) < ITEMS
    yield run


@pytest.mark.parametrize("sort", REASONS)
async def test_with_unfit_workers_alone_a_run_waits_visibly_and_goes_on_with_a_fit_one(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, sort: str
) -> None:
    async with half_done(engine) as run:
        async with unfit(engine, sort, tmp_path_factory.mktemp("elsewhere")):
            await trouble(run, REASONS[sort])
            assert re.search(REASONS[sort].strip("^$"), await status(engine, run))
            assert (await run.info()).closed is None
        async with engine.worker(step):
            found = await done(run)
    assert found.results == {index: index for index in range(ITEMS)}
    assert len(published(found.folder)) == ITEMS


@pytest.mark.parametrize("sort", REASONS)
async def test_beside_a_fit_worker_an_unfit_one_is_named_and_the_run_completes(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, sort: str
) -> None:
    async with engine.worker(step) as client:
        # So many batches that the unfit one is sure to take some.
        run = await engine.start(client, step, fanout.Range(5 * ITEMS), **SHAPE)
        await eventually(lambda: started)
        async with unfit(engine, sort, tmp_path_factory.mktemp("elsewhere")):
            await trouble(run, REASONS[sort])
        # What it has refused may wait for half a minute before the next attempt.
        found = await asyncio.wait_for(done(run), 90)
    assert found.results == {index: index for index in range(5 * ITEMS)}


async def test_a_newer_version_goes_on_with_what_an_older_one_began(engine: Engine) -> None:
    newer = fanout.processor(name="step", version="2.1")(work)
    async with half_done(engine) as run, engine.worker(newer):
        assert (await run.result()).succeeded == ITEMS


async def test_a_run_whose_output_no_worker_sees_waits_until_one_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            """Keep nothing: each look is that of a process that has just begun."""

    monkeypatch.setattr(markers, "_known", Forgetful())
    async with half_done(engine) as run:
        away = engine.store.rename(engine.folder / "unmounted")
        async with engine.worker(step, identity="blind@host"):
            await trouble(run, r"worker blind@host: this process cannot see the run's output: .*not shared")
            away.rename(engine.store)
            found = await done(run)
    assert found.results == {index: index for index in range(ITEMS)}


async def test_planning_passes_from_an_unfit_worker_to_a_fit_one(engine: Engine) -> None:
    async with engine.worker(other, identity="unfit@host") as client:
        run = await engine.start(client, "step", fanout.Range(10))
        await trouble(run, r"^fanout\.plan is being repeated .*worker unfit@host: no processor 'step'")
    async with engine.worker(step):
        assert (await run.result()).succeeded == 10


# ------------------------------------------------------------------------------------------ what is waited for


@activity.defn(name="fanout:store")
async def waiting_for_the_store() -> None:
    activity.heartbeat({"waiting": "the store: no space left on device; free some space"})
    await asyncio.Future()


@activity.defn(name="fanout:busy")
async def busy() -> None:
    activity.heartbeat({"in_flight": 3})
    activity.heartbeat("what others send")
    await asyncio.Future()


@workflow.defn(name="one-activity", sandboxed=False)
class OneActivity:
    @workflow.run
    async def run(self, name: str) -> None:
        await workflow.execute_activity(name, schedule_to_close_timeout=timedelta(seconds=60))


async def test_what_a_batch_waits_for_is_told_from_its_heartbeats(client: Client, task_queue: str) -> None:
    async with Worker(
        client, task_queue=task_queue, workflows=[OneActivity], activities=[waiting_for_the_store, busy]
    ):
        handles = {
            name: await client.start_workflow(
                "one-activity", name, id=f"{task_queue}-{name}", task_queue=task_queue
            )
            for name in ("fanout:store", "fanout:busy")
        }

        store, busy_one = handles.values()
        await until(lambda: find_trouble(client, store.id))
        assert await find_trouble(client, store.id) == (
            "fanout:store waits for the store: no space left on device; free some space"
        )
        await until(lambda: heartbeats(busy_one))
        assert await find_trouble(client, busy_one.id) is None
        for handle in handles.values():
            await handle.terminate()


async def heartbeats(handle: Any) -> bool:
    pending = (await handle.describe()).raw_description.pending_activities
    return any(one.HasField("heartbeat_details") for one in pending)


async def status(engine: Engine, run: fanout.Run) -> str:
    """Return what `fanout status` prints."""
    command = [sys.executable, "-m", "fanout.cli", "status", run.id, "--address", engine.server.address]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return " ".join(out.decode().split())
