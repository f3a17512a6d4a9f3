"""Looks at workers: who polls a queue and, by an empty run, whether one has a processor and can use the store."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
)
from temporalio.service import RPCError

from fanout import wire
from fanout.checks.check import PATIENCE, Check, look
from fanout.checks.storage import clock
from fanout.errors import FanoutError, RunFailed
from fanout.runs.info import POLLED_LATELY
from fanout.storage import removal
from fanout.storage.layout import MANIFEST
from fanout.storage.roots import display
from fanout.storage.stores import open_store

if TYPE_CHECKING:
    from temporalio.client import Client

    from fanout.processors import Processor
    from fanout.runs.run import Run

_OUTSIDE = "is outside the allowed roots"

WITHIN = 20.0
"""Seconds for an empty run, from its start to its end."""


@dataclass(frozen=True)
class Wanted:
    """What workers are to have.

    Attributes:
        processor: It, or its name.
        queue: Where they poll.
        store: URL of the store that runs write to.
        params: Of the processor.
        module: Of the processor, for the command that starts a worker.
    """

    processor: Processor[..., Any] | str
    queue: str
    store: str
    params: Mapping[str, Any]
    module: str


async def look_at_workers(client: Client, wanted: Wanted) -> list[Check]:
    """Look who polls; if somebody does, run over nothing at all, and look at what came of it."""
    start = f"fanout worker {wanted.module} --task-queue {wanted.queue}"
    polls = await look("worker", _pollers(client, wanted.queue, start), next=start)
    if polls.outcome == "failed":
        return [polls]
    return [polls, *await _try_out(client, wanted, start)]


async def _pollers(client: Client, queue: str, start: str) -> Check:
    workflows, batches, control = await asyncio.gather(
        _describe(client, queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
        _describe(client, queue, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
        _describe(client, wire.control_queue(queue), TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
    )
    if not (count := _lately(workflows)):
        return Check("worker", "failed", f'no worker polls "{queue}"', start)
    if not (_lately(batches) and _lately(control)):
        says = f'"{queue}" is polled, but not by workers of fanout: their client needs fanout.Plugin'
        return Check("worker", "failed", says, start)
    if unrouted := _unrouted(workflows):
        name, build = unrouted
        return Check(
            "worker",
            "failed",
            f'all workers of "{queue}" are versions of the deployment {name!r}, which has no current version',
            f"temporal worker deployment set-current-version --namespace {client.namespace} "
            f"--deployment-name {name} --build-id {build}",
        )
    return Check("worker", "ok", f'{count} poll "{queue}"' if count > 1 else f'one polls "{queue}"')


async def _describe(client: Client, queue: str, kind: TaskQueueType.ValueType) -> DescribeTaskQueueResponse:
    return await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
    )


def _lately(answer: DescribeTaskQueueResponse) -> int:
    now = time.time()
    return sum(now - poller.last_access_time.seconds < POLLED_LATELY for poller in answer.pollers)


def _unrouted(answer: DescribeTaskQueueResponse) -> tuple[str, str] | None:
    """Return deployment and build of workers that get no new run: all are versions, and none is the current one."""
    options = [poller.deployment_options for poller in answer.pollers]
    versioned = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    if any(one.worker_versioning_mode != versioned for one in options):
        return None
    if answer.versioning_info.current_deployment_version.build_id:
        return None
    return options[-1].deployment_name, options[-1].build_id


async def _try_out(client: Client, wanted: Wanted, start: str) -> list[Check]:
    """Run over nothing: a worker must know the processor, and write the output to the store."""
    from fanout import client as api
    from fanout.readers import Range

    name = wanted.processor if isinstance(wanted.processor, str) else wanted.processor.name
    before = time.time()
    try:
        async with asyncio.timeout(PATIENCE):
            run = await api.start(
                client,
                wanted.processor,
                Range(0),
                id=f"fanout-doctor-{secrets.token_hex(4)}",
                task_queue=wanted.queue,
                output=wanted.store,
                params=dict(wanted.params),
            )
    except FanoutError as error:
        return [Check("processor", "failed", str(error), "see --param, and fanout run --help")]
    after = time.time()
    try:
        return [
            await _end(run, name, wanted, start),
            await look("server's clock", _clock(run, before, after)),
        ]
    finally:
        await _remove(run, wanted.store)


async def _clock(run: Run, before: float, after: float) -> Check:
    return clock("server's clock", (await run.info()).started.timestamp(), before, after)


async def _end(run: Run, name: str, wanted: Wanted, start: str) -> Check:
    where = display(wanted.store)
    try:
        async with asyncio.timeout(WITHIN):
            await run.result()
    except TimeoutError:
        trouble = await run.trouble() or f"no worker took up an empty run within {WITHIN:g} s"
        return Check("processor", "failed", trouble, start)
    except RunFailed as error:
        reason = " ".join(str(error).removeprefix(f"run {run.id!r} failed: ").split())
        if _OUTSIDE in reason:
            return Check(
                "processor", "failed", f"workers may not write to {where}", f"{start} --store {where}"
            )
        return Check("processor", "failed", reason, start)
    if not await open_store(await run.output()).exists(MANIFEST):
        return Check(
            "processor",
            "failed",
            f"a worker with {name!r} has written to {where}, and nothing of it is seen from here",
            "give workers and clients the same store, such as FANOUT_STORE=s3://bucket/prefix",
        )
    return Check("processor", "ok", f"a worker has {name!r}, and writes to {where} what is read from here")


async def _remove(run: Run, store: str) -> None:
    """Delete what is left of the run: its history and, where it has one, its output."""
    order = DeleteWorkflowExecutionRequest(
        namespace=run.client.namespace, workflow_execution=WorkflowExecution(workflow_id=run.id)
    )
    with contextlib.suppress(FanoutError, RPCError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            if (await run.info()).status.live:
                await run.terminate(reason="fanout doctor has waited long enough")
            await run.client.workflow_service.delete_workflow_execution(order)
            for output in await removal.find_of(store, run.id):
                await removal.remove(output)
