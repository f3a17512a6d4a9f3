"""`fanout.local`: a dev server and a worker in this process, for a first try and for notebooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client

from fanout.devserver import start_dev_server
from fanout.plugin import Plugin
from fanout.processors import Processor, as_processor
from fanout.runs.starting import default_task_queue
from fanout.workers.worker import run_worker

SHUTDOWN_TIMEOUT = 5.0


@asynccontextmanager
async def local(
    *processors: Processor[..., Any] | Callable[..., Any],
    workflows: Sequence[type] = (),
    activities: Sequence[Callable[..., Any]] = (),
    task_queue: str | None = None,
    store: str | Path | None = None,
    db: Path | None = None,
) -> AsyncIterator[Client]:
    """Run a dev server and one worker in this process.

        async with fanout.local(fetch) as client:
            run = await fanout.start(client, fetch, fanout.Csv("urls.csv", key="id"))
            print(await run.result())

    Args:
        *processors: What the worker runs; all that this process has registered where none is given.
        workflows: Workflows of your own that the worker runs as well.
        activities: Activities of your own, likewise.
        task_queue: A queue to poll beside those of the processors. Default: `FANOUT_TASK_QUEUE`, else `fanout`.
        store: URL or path that outputs go to; `./fanout-output` by default.
        db: The server's database file; None keeps everything in memory, and forgets it at the end.

    Yields:
        A connected client.

    Raises:
        NoServer: There is no `temporal` command; the text says how to get one.
    """
    plugin = Plugin([as_processor(made) for made in processors] if processors else None, store=store)
    queues = {made.task_queue or default_task_queue() for made in plugin.processors.values()}
    async with await start_dev_server(db=db) as server:
        # Not `connect`: what the environment says of namespaces and keys is about another server.
        client = await Client.connect(server.address, namespace=server.namespace, plugins=[plugin])
        stop = asyncio.Event()
        workers = [
            asyncio.create_task(
                run_worker(
                    client,
                    queue,
                    stop=stop,
                    shutdown_timeout=SHUTDOWN_TIMEOUT,
                    workflows=workflows,
                    activities=activities,
                )
            )
            for queue in queues | {task_queue or default_task_queue()}
        ]
        try:
            yield client
        finally:
            stop.set()
            await asyncio.gather(*workers)
