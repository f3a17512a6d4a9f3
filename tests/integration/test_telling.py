"""What a node tells the one above, on the real server: nothing any more once it has ended."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fanout import wire
from fanout.interim import telling
from fanout.messages import Interim, Standing
from tests.conftest import TestServer
from tests.waiting import eventually


@workflow.defn
class Below:
    """A node with news at its end, and with more when it has ended."""

    def __init__(self) -> None:
        self.told: Interim | None = None
        self.standing = Standing(0, 1, tell_every=1)
        self._failed = 0

    @property
    def interim(self) -> Interim:
        return Interim(workflow.info().workflow_id, self._failed)

    @workflow.run
    async def run(self) -> int:
        with telling(self):
            # What is told is looked at first.
            await asyncio.sleep(0)
            await workflow.wait_condition(lambda: self._failed > 0)
            self._failed = 10
        return self._failed

    @workflow.signal
    def fail(self) -> None:
        self._failed = 5


@workflow.defn
class Above:
    """Waits for it."""

    @workflow.run
    async def run(self) -> int:
        below: int = await workflow.execute_child_workflow(
            Below.run, id=f"{workflow.info().workflow_id}-below"
        )
        return below

    @workflow.signal(name=wire.INTERIM_SIGNAL)
    def hear(self, said: Interim) -> None:
        """Take no note of it."""


async def test_a_node_that_ends_while_it_tells_something_does_end(
    dev_server: TestServer, task_queue: str
) -> None:
    client = await Client.connect(dev_server.address, namespace=dev_server.namespace)
    runner = UnsandboxedWorkflowRunner()
    async with (
        asyncio.timeout(20),
        Worker(client, task_queue=task_queue, workflows=[Above, Below], workflow_runner=runner),
    ):
        above = await client.start_workflow(Above.run, id=task_queue, task_queue=task_queue)
        below = client.get_workflow_handle(f"{task_queue}-below")

        async def waits() -> bool:
            events = (await above.fetch_history()).events
            return any(
                event.HasField("child_workflow_execution_started_event_attributes") for event in events
            )

        await eventually(waits)
        await below.signal(Below.fail)
        assert await above.result() == 10
