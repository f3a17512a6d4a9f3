"""What the server knows of runs and queues without asking any worker."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from fanout import wire
from fanout.compensation import Undone
from fanout.errors import FanoutError, NoServer, UsageError
from fanout.models import Status
from fanout.ports import UI_OFFSET
from fanout.storage.layout import output_url

POLLED_LATELY = 60.0
"""Seconds; pollers wait up to a minute for a task, and the server remembers them for five."""

OUTAGES = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.UNKNOWN,
    RPCStatusCode.INTERNAL,
}


@dataclass(frozen=True)
class RunInfo:
    """What the server knows of a run without asking its workers.

    Attributes:
        id: The run's id.
        status: What it is doing, or how it ended.
        processor: Registered name.
        task_queue: Where its workers poll.
        started: When.
        closed: When it ended; None while it runs.
        output: URL of its output.
        execution: First execution id of its root workflow.
        items: How many items it has, once that is known for certain.
        failed: How many of them failed, once it has ended.
        current: Execution id of its root workflow now: another one than `execution` once it was reset.
        previous: URL of the output that it continues, or takes items of up again, if any.
        rerun: Of a rerun, what it takes up again, in words.
        undone: Of a compensation, what it undoes.
        compensation: Id of the run that compensates it, where it has started that by itself.
    """

    id: str
    status: Status
    processor: str
    task_queue: str
    started: datetime
    closed: datetime | None
    output: str
    execution: str
    items: int | None = None
    failed: int | None = None
    current: str = ""
    previous: str | None = None
    rerun: str = ""
    undone: Undone | None = None
    compensation: str = ""


@dataclass(frozen=True)
class Pollers:
    """Who polls a task queue for workflows.

    Attributes:
        count: How many workers did so within the last minute.
        last: When one did for the last time, in seconds since the epoch; None where the server remembers none.
    """

    count: int
    last: float | None


async def read_info(execution: WorkflowExecution) -> RunInfo:
    """Return what the server's description of a root workflow says of its run."""
    memo = await execution.memo()
    raw = execution.raw_info
    first = raw.first_run_id or execution.run_id
    status = {
        WorkflowExecutionStatus.RUNNING: Status.RUNNING,
        WorkflowExecutionStatus.COMPLETED: Status.SUCCEEDED,
        WorkflowExecutionStatus.CANCELED: Status.CANCELED,
        WorkflowExecutionStatus.TERMINATED: Status.TERMINATED,
    }.get(execution.status or WorkflowExecutionStatus.FAILED, Status.FAILED)
    said = Status(memo.get(wire.STATUS_MEMO, status))
    # A run that was cut off had no time to say so.
    if status in (Status.SUCCEEDED, Status.RUNNING) or said is Status.FAILED_TOLERANCE_EXCEEDED:
        status = said
    return RunInfo(
        id=execution.id,
        status=status,
        processor=memo.get(wire.PROCESSOR_MEMO, ""),
        task_queue=execution.task_queue,
        started=execution.start_time,
        closed=execution.close_time,
        output=output_url(memo.get(wire.STORE_MEMO, ""), execution.id, first),
        execution=first,
        items=memo.get(wire.ITEMS_MEMO),
        failed=memo.get(wire.FAILED_MEMO),
        current=execution.run_id,
        previous=memo.get(wire.PREVIOUS_MEMO),
        rerun=memo.get(wire.RERUN_MEMO, ""),
        undone=Undone(**undone) if (undone := memo.get(wire.UNDONE_MEMO)) else None,
        compensation=memo.get(wire.COMPENSATION_MEMO, ""),
    )


async def count_pollers(client: Client, task_queue: str) -> int:
    """Return how many workers polled a task queue for workflows within the last minute."""
    return (await read_pollers(client, task_queue)).count


async def read_pollers(client: Client, task_queue: str) -> Pollers:
    """Return who polls a task queue for workflows."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    now = time.time()
    seen = {poller.identity: float(poller.last_access_time.seconds) for poller in answer.pollers}
    return Pollers(
        count=sum(now - last < POLLED_LATELY for last in seen.values()),
        last=max(seen.values(), default=None),
    )


def refused(error: RPCError, what: str) -> FanoutError:
    """Return the error for a person where the server did not do what it was asked.

    Args:
        error: The server's.
        what: What did not come about.
    """
    if error.status in OUTAGES:
        return NoServer(f"{what}: the Temporal server does not answer ({error.message})")
    return UsageError(f"{what}: the Temporal server refuses it: {error.message}")


def web_base(target: str) -> str | None:
    """Return the address of Temporal Web for a server; None where it is unknown: then `FANOUT_WEB_URL` says it."""
    said = os.environ.get("FANOUT_WEB_URL")
    if said:
        return said.rstrip("/")
    host, _, port = target.rpartition(":")
    if host in ("localhost", "127.0.0.1", "[::1]") and port.isdigit():
        return f"http://{host}:{int(port) + UI_OFFSET}"
    if host.endswith(".tmprl.cloud"):
        return "https://cloud.temporal.io"
    return None
