"""What KEDA's Temporal scaler, and the autoscaler of Kubernetes that it feeds, do to the workers of a queue."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import DescribeTaskQueueMode, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue, TaskQueueVersionSelection
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from tests.faults.fleet import Command, Fleet

KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
POLL = 0.25
"""Seconds between two looks; KEDA looks every half minute."""


async def backlog(client: Client, queue: str) -> int:
    """Return how much waits in a queue for a worker, as the server says it to KEDA."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            api_mode=DescribeTaskQueueMode.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
            versions=TaskQueueVersionSelection(unversioned=True),
            task_queue_types=KINDS,
            report_stats=True,
        )
    )
    kinds = [kind for version in answer.versions_info.values() for kind in version.types_info.values()]
    return sum(kind.stats.approximate_backlog_count for kind in kinds)


@dataclass
class Scaler:
    """Keeps as many workers as a queue's backlog asks for.

    Attributes:
        client: Of the server.
        fleet: Its workers.
        queue: The queue.
        target: Backlog for each worker (`targetQueueSize`).
        least: The fewest workers (`minReplicaCount`).
        most: The most of them (`maxReplicaCount`).
        window: Seconds for which the highest wish counts (`stabilizationWindowSeconds` of scaling down).
        workers: Those that run.
        started: How many it has started.
        stopped: How many calls had begun when it stopped one, for each that it has stopped.
    """

    client: Client
    fleet: Fleet
    queue: str
    target: int
    least: int
    most: int
    window: float
    workers: list[Command] = field(default_factory=list)
    started: int = 0
    stopped: list[int] = field(default_factory=list)
    _wishes: deque[tuple[float, int]] = field(default_factory=deque)

    @asynccontextmanager
    async def scaling(self) -> AsyncIterator[None]:
        """Start and stop workers while the block runs; they stay as they are at its end."""
        scaling = asyncio.create_task(self._scale())
        try:
            yield
        finally:
            scaling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await scaling

    async def _scale(self) -> None:
        while True:
            wanted = self._wanted(await backlog(self.client, self.queue), time.monotonic())
            if wanted > len(self.workers):
                new = await self.fleet.start_many(wanted - len(self.workers))
                self.workers += new
                self.started += len(new)
            while wanted < len(self.workers):
                self.stopped.append(self.fleet.count_calls())
                worker = self.workers.pop()
                assert await self.fleet.stop(worker) == 0, worker.explain()
            await asyncio.sleep(POLL)

    def _wanted(self, waiting: int, now: float) -> int:
        """Return how many workers there should be: up at once, down only to what was wanted throughout the window."""
        wish = min(self.most, max(self.least, -(-waiting // self.target)))
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - self.window:
            self._wishes.popleft()
        return max(wish for _, wish in self._wishes)
