"""A node of the tree in moments that a run seldom meets: its children are only just being started."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fanout import wire
from fanout.messages import BranchInput, BranchOutput, Interim, RunRef, Standing
from fanout.models import Totals
from fanout.options import Options, carried
from fanout.parent.branch import Branch
from fanout.parent.tiler import Span
from fanout.topology import Shape
from tests.conftest import TestServer

SIZE = 5
WHOLE = 4
"""Items that may be in flight: enough for two children."""


@workflow.defn(name=wire.PARTITION_WORKFLOW)
class Greedy:
    """Stands for a partition that has work for all that may be in flight, and ends once it may have that."""

    @workflow.init
    def __init__(self, branch: BranchInput) -> None:
        self._concurrency = branch.concurrency

    @workflow.run
    async def run(self, branch: BranchInput) -> BranchOutput:
        await workflow.wait_condition(lambda: self._concurrency == WHOLE)
        return BranchOutput(branch.count, Totals(succeeded=branch.count), partitions=1)

    @workflow.signal(name=wire.STANDING_SIGNAL)
    def obey(self, standing: Standing) -> None:
        self._concurrency = standing.concurrency


@workflow.defn
class Node:
    """Starts one child, although there seemed to be items for two."""

    @workflow.run
    async def run(self, concurrency: int) -> tuple[int, int]:
        me = workflow.info().workflow_id
        run = RunRef(me, "memory://out", "nonce", "greedy", carried(Options()), SIZE, 10, 1, 0)
        shape = Shape(SIZE, levels=0, max_children=10, exact=True, batch_concurrency=1)
        branch = Branch(run, shape, level=0, items=2 * SIZE, standing=Standing(0, concurrency))
        spans = [Span(0, SIZE, [])]

        async def next_span(size: int) -> Span | None:
            return spans.pop() if spans else None

        running = asyncio.create_task(branch.run(next_span))
        if concurrency < WHOLE:
            branch.obey(Standing(1, WHOLE))
        await workflow.wait_condition(lambda: not spans)
        # No server has heard of the child yet.
        branch.hear(Interim(wire.partition_id(me, 0), failed=3))
        heard = branch.interim.failed
        return heard, (await running).items


async def node(server: TestServer, queue: str, concurrency: int) -> tuple[int, int]:
    client = await Client.connect(server.address, namespace=server.namespace)
    runner = UnsandboxedWorkflowRunner()
    async with (
        asyncio.timeout(10),
        Worker(client, task_queue=queue, workflows=[Node, Greedy], workflow_runner=runner),
    ):
        heard, items = await client.execute_workflow(Node.run, concurrency, id=queue, task_queue=queue)
    return heard, items


async def test_a_child_that_is_being_started_is_heard_and_gets_what_others_leave(
    dev_server: TestServer, task_queue: str
) -> None:
    assert await node(dev_server, task_queue, WHOLE) == (3, SIZE)


async def test_a_node_that_may_have_nothing_in_flight_yet_waits_until_it_may(
    dev_server: TestServer, task_queue: str
) -> None:
    assert await node(dev_server, task_queue, 0) == (3, SIZE)
