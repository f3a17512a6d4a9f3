"""What an example of a run stands on: a client, a worker in this process, and a folder that is empty at first.

`TEMPORAL_ADDRESS` names a server that is there; without it, a dev server is started, and stopped at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client

import fanout
from examples.serving import run
from fanout.devserver import ADDRESS_VARIABLE
from fanout.workers.worker import run_worker

__all__ = ["run", "serving"]


@asynccontextmanager
async def serving(
    processor: fanout.Processor[..., Any],
) -> AsyncIterator[tuple[Client, Path]]:
    """Serve a processor as long as the block lasts; hand out a client, and a folder for what the example makes."""
    # Items of the examples fail on purpose; elsewhere one wants to read of it.
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix=f"{processor.name}-") as name:
        folder = Path(name)
        if ADDRESS_VARIABLE not in os.environ:
            async with fanout.local(processor, store=folder / "out") as client:
                yield client, folder
            return
        client = await fanout.connect(plugin=fanout.Plugin([processor], store=folder / "out"))
        stop = asyncio.Event()
        worker = asyncio.create_task(
            run_worker(client, processor.task_queue or "fanout", stop=stop, shutdown_timeout=5)
        )
        try:
            yield client, folder
        finally:
            stop.set()
            await worker
