"""One worker for all tests of patterns, and the check that their histories replay."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client, WorkflowHistory

from tests.conftest import TestServer
from tests.integration.patterns.stage import PLUGIN, Stage, replay, worker

Served = tuple[Client, str, list[WorkflowHistory]]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def served(dev_server: TestServer) -> AsyncIterator[Served]:
    """A client, and a queue that a worker polls; at the end all that happened is replayed."""
    client = await Client.connect(dev_server.address, namespace=dev_server.namespace, plugins=[PLUGIN])
    queue = f"patterns-{uuid.uuid4().hex[:8]}"
    made = client, queue, list[WorkflowHistory]()
    async with worker(client, queue):
        yield made
    await replay(made[2])


@pytest_asyncio.fixture(loop_scope="package")
async def stage(served: Served) -> AsyncIterator[Stage]:
    """The workflows of one test; at its end their histories are looked at."""
    made = Stage(*served)
    yield made
    await made.check()
