"""Thousands of activities with large inputs, where the plain way fails on the same server.

`FANOUT_PATTERNS=long` runs 5,000 of them, which takes minutes; they have 100 MB, more than the 50 MiB of history that a
server allows by default.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError

from fanout.devserver import start_dev_server
from tests.integration.patterns.stage import PLUGIN, Stage, worker
from tests.integration.patterns.workflows import Large

COUNT = 5_000 if os.environ.get("FANOUT_PATTERNS") == "long" else 300
SIZE = 20_000
GRPC_LIMIT = 4 * 1024 * 1024

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def roomy() -> AsyncIterator[tuple[Client, str]]:
    """A client of a server whose histories may be long, and a queue that a worker polls."""
    settings = {"limit.historySize.error": 400 * 1024 * 1024}
    async with await start_dev_server(ui=False, dynamic_config=settings) as server:
        client = await Client.connect(server.address, plugins=[PLUGIN])
        queue = f"large-{uuid.uuid4().hex[:8]}"
        async with worker(client, queue):
            yield client, queue


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["gather", "window"])
async def test_activities_with_large_inputs_succeed(roomy: tuple[Client, str], how: str) -> None:
    stage = Stage(*roomy, histories=[])
    handle = await stage.start(Large.run, how, COUNT, SIZE)
    assert await handle.result() == COUNT * SIZE
    await stage.check()
    sent = 0
    for event in stage.histories[0].events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            sent = 0
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            sent += event.ByteSize()
            assert sent < GRPC_LIMIT / 2


async def test_plain_gather_over_them_is_terminated_by_the_same_server(roomy: tuple[Client, str]) -> None:
    handle = await Stage(*roomy, histories=[]).start(Large.run, "by hand", min(COUNT, 2_000), SIZE)
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(handle.result(), 100)
    assert str(caught.value.cause) == "GrpcMessageTooLarge"
