"""Runs the workflows of these tests, and looks at their histories."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

import fanout
from tests.integration.engine import assert_never_stuck, tree
from tests.integration.patterns import jobs
from tests.integration.patterns.misuse import Misuse
from tests.integration.patterns.workflows import WORKFLOWS

PLUGIN = fanout.Plugin([])


@asynccontextmanager
async def worker(client: Client, queue: str) -> AsyncIterator[None]:
    """Run a worker for the workflows and activities of these tests."""
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[*WORKFLOWS, Misuse],
            activities=jobs.ACTIVITIES,
            activity_executor=threads,
        ):
            yield


@dataclass
class Stage:
    """The client of one test, and the workflows that it starts."""

    client: Client
    queue: str
    histories: list[WorkflowHistory]
    started: list[WorkflowHandle[Any, Any]] = field(default_factory=list)

    async def start(self, run: Any, *args: Any, queue: str | None = None) -> WorkflowHandle[Any, Any]:
        """Start a workflow; its history is looked at when the test ends."""
        handle: WorkflowHandle[Any, Any] = await self.client.start_workflow(
            run, args=args, id=f"pattern-{uuid.uuid4().hex[:8]}", task_queue=queue or self.queue
        )
        self.started.append(handle)
        return handle

    async def run(self, run: Any, *args: Any) -> Any:
        """Run a workflow to its end, and return its result."""
        return await (await self.start(run, *args)).result()

    async def fail(self, run: Any, *args: Any) -> ApplicationError:
        """Run a workflow that fails, and return the error at the bottom."""
        return await failure(await self.start(run, *args))

    def seen(self) -> jobs.Seen:
        """Return what is seen of the jobs of the workflow that was started last."""
        return jobs.of(self.started[-1].id)

    async def check(self) -> None:
        """No workflow task has failed, and nothing was left running; what happened is kept, to be replayed."""
        for handle in self.started:
            root = await tree(self.client, handle.id)
            assert_never_stuck(root)
            self.histories += [WorkflowHistory(root.workflow_id, events) for events in root.executions]


async def replay(histories: list[WorkflowHistory]) -> None:
    """Replay all of them at once: a replayer takes its time to begin."""

    async def each() -> AsyncIterator[WorkflowHistory]:
        for history in histories:
            yield history

    replayer = Replayer(workflows=[*WORKFLOWS, Misuse], plugins=[PLUGIN])
    await replayer.replay_workflows(each(), raise_on_replay_failure=True)


async def failure(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    """Wait for a workflow that fails, and return the error at the bottom."""
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    error: BaseException | None = caught.value.cause
    while not isinstance(error, ApplicationError) and error is not None:
        error = error.__cause__
    assert error is not None, caught.value.cause
    return error


async def ends_canceled(handle: WorkflowHandle[Any, Any]) -> bool:
    """Wait for a workflow, and tell whether it ended as canceled."""
    with suppress(WorkflowFailureError):
        await asyncio.wait_for(handle.result(), 30)
    status = (await handle.describe()).status
    return status is not None and status.name == "CANCELED"
