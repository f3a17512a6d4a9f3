"""What an example runs on: a client, and in this process a worker with the example's workflows and activities.

`TEMPORAL_ADDRESS` names a server that is there; without it, a dev server is started, and stopped at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, NoReturn

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from fanout.cli.exits import leave
from fanout.devserver import ADDRESS_VARIABLE, start_dev_server

# Each workflow gets a copy of the example's module, but need not import all this again.
RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("examples.serving", "fanout")
)


@asynccontextmanager
async def serving(
    queue: str, *, workflows: Sequence[type], activities: Sequence[Callable[..., Any]]
) -> AsyncIterator[Client]:
    """Serve a task queue as long as the block lasts, and hand out a client of the same server."""
    # Activities of the examples fail on purpose; elsewhere one wants to read of it.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    async with AsyncExitStack() as stack:
        if ADDRESS_VARIABLE in os.environ:
            client = await Client.connect(**ClientConfig.load_client_connect_config())
        else:
            server = await stack.enter_async_context(await start_dev_server(ui=False))
            client = await Client.connect(server.address)
        worker = Worker(
            client,
            task_queue=queue,
            workflows=workflows,
            activities=activities,
            workflow_runner=RUNNER,
            # Activities learn that they are cancelled by their heartbeats, which are otherwise held back for longer.
            max_heartbeat_throttle_interval=timedelta(milliseconds=100),
        )
        await stack.enter_async_context(worker)
        yield client


def run(main: Coroutine[Any, Any, None]) -> NoReturn:
    """Run an example to its end, as `asyncio.run` does, and end the process."""
    asyncio.run(main)
    # Python's own end is one that threads of Temporal's SDK now and then turn into a crash.
    leave(0)
