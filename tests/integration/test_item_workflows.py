"""Processors that are workflows: one for each item, which outlives its batch's worker and ends with its run."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

import fanout
from fanout.children.item_workflows import ItemWorkflows
from fanout.errors import RunFailed, UsageError
from fanout.iteminfo import Info, current
from fanout.itemworkflows import ids_of
from fanout.models import Status
from fanout.processors import as_processor
from tests.integration.engine import Engine
from tests.integration.item_workflows import Fails, FailsOnce, Order, ShipOrder, tax
from tests.waiting import eventually

GERMAN = [Order(number, "DE") for number in range(6)]


@asynccontextmanager
async def serving(engine: Engine, *processors: type) -> AsyncIterator[Client]:
    """Run a worker with the activities that the workflows need."""
    client = await engine.client(*processors)
    async with Worker(client, task_queue=engine.queue, activities=[tax]):
        yield client


async def items_of(run: fanout.Run) -> dict[str, WorkflowExecutionStatus | None]:
    """Return the workflows of a run's items, as the server lists them."""
    query = f"WorkflowId STARTS_WITH '{ids_of(run.id)}'"
    return {one.id.partition("/")[2]: one.status async for one in run.client.list_workflows(query)}


async def all_are(run: fanout.Run, status: WorkflowExecutionStatus, count: int) -> bool:
    """Tell whether so many workflows of items have a status, and none another."""
    return list((await items_of(run)).values()) == [status] * count


async def all_wait(run: fanout.Run, count: int) -> bool:
    """Tell whether so many workflows of orders wait to be released: what their steps need may die now."""
    handles = [run.client.get_workflow_handle(f"{run.id}/{one}") for one in await items_of(run)]
    return [await one.query(ShipOrder.waits) for one in handles] == [True] * count


async def test_each_item_is_a_workflow_with_steps_parameters_and_what_it_is_told_of_itself(
    engine: Engine,
) -> None:
    async with serving(engine, ShipOrder) as client:
        ended = await engine.run(
            client, ShipOrder, fanout.Items([*GERMAN, Order(6, "XX"), {"number": "?"}], key="number"),
            params={"currency": "EUR"}, batch_size=4, partition_size=8,
        )  # fmt: skip
        assert len(await items_of(ended.run)) == 7
        workflow = client.get_workflow_handle(f"{ids_of(ended.run.id, (await marker(ended))['nonce'])}3")
        description = await workflow.describe()
    assert ended.results == {
        number: {"price": "119 EUR", "key": str(number), "run": ended.run.id} for number in range(6)
    }
    assert ended.failed(6) == ("UnknownCountry", "no such country", 1)
    assert ended.failures[7].error_type == "InvalidItem"
    assert description.workflow_type == "ship-order"
    assert await description.static_summary() == "item 3"
    assert f"workflows/{ended.run.id}" in str(await description.static_details())


async def marker(ended: Any) -> dict[str, Any]:
    from pydantic_core import from_json

    found: dict[str, Any] = from_json((ended.folder / "_RUN").read_bytes())
    return found


async def test_a_failed_workflow_is_tried_again_and_its_failure_is_that_of_the_item(engine: Engine) -> None:
    async with serving(engine, Fails, FailsOnce) as client:
        again = await engine.run(client, FailsOnce, fanout.Range(3))
        ended = await engine.run(client, Fails, ["fine", "final"])
        waiting = await engine.start(client, Fails, ["waits"])
        await eventually(lambda: all_are(waiting, WorkflowExecutionStatus.RUNNING, 1))
        [one] = [one async for one in client.list_workflows(f"WorkflowId STARTS_WITH '{ids_of(waiting.id)}'")]
        await client.get_workflow_handle(one.id).terminate()
        await waiting.result()
        [failure] = [row async for row in waiting.failures()]
    assert again.results == {0: 2, 1: 2, 2: 2}
    assert ended.results == {0: "fine"}
    assert ended.failed(1) == ("Final", "never", 1)
    assert (failure.error_type, failure.message) == ("WorkflowTerminated", "its workflow was terminated")


@pytest.mark.parametrize("options", [{}, {"partition_size": 3, "batch_concurrency": 1, "max_concurrency": 6}])
async def test_a_canceled_run_cancels_the_workflows_of_its_items_and_waits(
    engine: Engine, options: dict[str, Any]
) -> None:
    async with serving(engine, ShipOrder) as client:
        run = await engine.start(
            client,
            ShipOrder,
            GERMAN,
            params={"currency": "EUR", "hold_from": 0},
            **options,
        )
        await eventually(lambda: all_are(run, WorkflowExecutionStatus.RUNNING, 6))
        await run.cancel()
        with pytest.raises(RunFailed, match="canceled"):
            await run.result()
        assert await all_are(run, WorkflowExecutionStatus.CANCELED, 6)


async def test_a_pause_now_cancels_them_and_they_run_again_but_a_drain_lets_them_end(engine: Engine) -> None:
    async with serving(engine, ShipOrder) as client:
        run = await engine.start(
            client,
            ShipOrder,
            GERMAN,
            params={"currency": "EUR", "hold_from": 0},
            max_concurrency=3,
            batch_size=1,
        )
        await eventually(lambda: all_are(run, WorkflowExecutionStatus.RUNNING, 3))
        await run.pause(now=True)
        await eventually(lambda: all_are(run, WorkflowExecutionStatus.CANCELED, 3))
        await run.resume()
        query = f"WorkflowId STARTS_WITH '{ids_of(run.id)}' AND ExecutionStatus = 'Running'"

        async def live() -> list[str]:
            return [one.id async for one in client.list_workflows(query)]

        await eventually(lambda: _is(live, 3))
        await run.drain()
        for one in await live():
            await client.get_workflow_handle(one).signal(ShipOrder.release)
        with pytest.raises(RunFailed, match="drained") as raised:
            await run.result()
    assert raised.value.result is not None
    assert (raised.value.result.succeeded, raised.value.result.not_run) == (3, 3)


async def _is(found: Any, count: int) -> bool:
    return len(await found()) == count


async def test_terminating_a_run_reaches_the_workflows_of_its_items(engine: Engine) -> None:
    async with serving(engine, ShipOrder) as client:
        run = await engine.start(client, ShipOrder, GERMAN, params={"currency": "EUR", "hold_from": 0})
        await eventually(lambda: all_are(run, WorkflowExecutionStatus.RUNNING, 6))
        await run.terminate()
        await eventually(lambda: all_are(run, WorkflowExecutionStatus.TERMINATED, 6))


@asynccontextmanager
async def worker_process(engine: Engine) -> AsyncIterator[None]:
    """Run a worker in a process of its own, until it is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.item_workflows"),
        *(engine.server.address, engine.queue, str(engine.folder)),
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_the_workflow_of_an_item_outlives_the_worker_of_its_batch(engine: Engine) -> None:
    client = await engine.client(ShipOrder)
    async with worker_process(engine):
        run = await engine.start(
            client, ShipOrder, GERMAN, params={"currency": "EUR", "hold_from": 0}, heartbeat_timeout=1
        )
        await eventually(lambda: all_wait(run, 6), within=50)
    for one in await items_of(run):
        await client.get_workflow_handle(f"{run.id}/{one}").signal(ShipOrder.release)
    async with serving(engine, ShipOrder):
        result = await run.result()
        query = f"WorkflowId STARTS_WITH '{ids_of(run.id)}'"
        executions = [one async for one in client.list_workflows(query)]
    assert result.succeeded == 6
    assert [one.status for one in executions] == [WorkflowExecutionStatus.COMPLETED] * 6


async def test_an_event_loop_that_closes_does_not_wait_for_them(engine: Engine) -> None:
    client = await engine.client(ShipOrder)
    environment = ActivityEnvironment(client)
    environment.info = replace(environment.info, task_queue=engine.queue, workflow_id=engine.queue)
    info = Info(engine.queue, 0, "0", 1, "an idempotency key", "ship-order")

    async def batch() -> None:
        current.set(lambda: info)
        await ItemWorkflows(as_processor(ShipOrder), {"currency": "EUR"}, "0123456789ab").run(GERMAN[0])

    handle = client.get_workflow_handle(f"{ids_of(engine.queue, '0123456789ab')}0")
    running = asyncio.ensure_future(environment.run(batch))
    await eventually(lambda: _is_running(handle))
    # As a loop does, once and without a reason of Temporal's. No worker is there to end the workflow.
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
    assert await _is_running(handle)
    await handle.terminate()


async def _is_running(handle: WorkflowHandle[Any, Any]) -> bool:
    with contextlib.suppress(RPCError):
        return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    return False


async def test_a_run_that_is_canceled_while_its_worker_is_dead_leaves_no_workflow_of_an_item(
    engine: Engine,
) -> None:
    client = await engine.client(ShipOrder)
    async with worker_process(engine):
        run = await engine.start(
            client, ShipOrder, GERMAN, params={"currency": "EUR", "hold_from": 0}, heartbeat_timeout=1
        )
        await eventually(lambda: all_wait(run, 6), within=50)
    await run.cancel()
    async with serving(engine, ShipOrder):
        with pytest.raises(RunFailed, match="canceled"):
            await run.result()
        assert await all_are(run, WorkflowExecutionStatus.CANCELED, 6)


async def test_a_timeout_of_the_item_cancels_its_workflow(engine: Engine) -> None:
    async with serving(engine, Fails) as client:
        ended = await engine.run(client, Fails, ["waits"], timeout=0.5)
        assert await all_are(ended.run, WorkflowExecutionStatus.CANCELED, 1)
    assert ended.failed(0)[0] == "TimeoutError"


async def test_what_was_canceled_runs_in_new_workflows_in_a_rerun(engine: Engine) -> None:
    async with serving(engine, ShipOrder) as client:
        run = await engine.start(client, ShipOrder, GERMAN, params={"currency": "EUR", "hold_from": 3})
        await eventually(lambda: _some(run, 3))
        await run.cancel()
        with pytest.raises(RunFailed):
            await run.result()
        again = await run.rerun()
        await eventually(lambda: _held(again, 3))
        for number in range(3, 6):
            nonce = await _nonce(again)
            await client.get_workflow_handle(f"{ids_of(run.id, nonce)}{number}").signal(ShipOrder.release)
        result = await again.result()
        rows = [row.index async for row in again.results(ordered=True)]
    assert result.status is Status.SUCCEEDED
    assert rows == list(range(6))


async def _some(run: fanout.Run, waiting: int) -> bool:
    states = list((await items_of(run)).values())
    return states.count(WorkflowExecutionStatus.RUNNING) == waiting and len(states) == 6


async def _held(run: fanout.Run, count: int) -> bool:
    states = list((await items_of(run)).values())
    return states.count(WorkflowExecutionStatus.RUNNING) == count


async def _nonce(run: fanout.Run) -> str:
    from fanout.storage.markers import load_run
    from fanout.storage.stores import open_store

    return (await load_run(open_store(await run.output()), None)).nonce


async def test_a_workflow_that_cannot_be_a_processor_is_refused_with_the_reason() -> None:
    from tests.integration import refused_workflows as refused

    for cls, settings, words in refused.CASES:
        with pytest.raises(UsageError, match=words):
            fanout.processor(**settings)(cls)


def test_the_class_stays_what_it_is() -> None:
    assert isinstance(ShipOrder, type)
    assert as_processor(ShipOrder).workflow is ShipOrder
    assert as_processor(ShipOrder).settings["timeout"] is None
