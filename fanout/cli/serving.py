"""What one supervised worker process does: connect, poll, and end with its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fanout.cli.connection import Connection
from fanout.cli.pulses import Pulse, keep_telling
from fanout.errors import NoServer, ServerRefuses
from fanout.workers.health import keep_asking

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.worker import WorkerDeploymentConfig

    from fanout.plugin import Plugin

SERVER_WITHIN = 60.0
"""Seconds that the server may be away when a worker starts."""

_RETRY_EVERY = 3.0


async def poll(
    client: Client,
    queues: Sequence[str],
    *,
    stop: asyncio.Event,
    ready: Callable[[], None],
    shutdown_timeout: float,
    max_batches: int | None,
    deployment: WorkerDeploymentConfig | None,
) -> None:
    """Run a worker for each queue, one after the other until all poll, then all until `stop`."""
    from fanout.workers.worker import run_worker

    try:
        async with asyncio.TaskGroup() as group:
            for queue in queues:
                polls = asyncio.Event()
                task = group.create_task(
                    run_worker(
                        client,
                        queue,
                        stop=stop,
                        shutdown_timeout=shutdown_timeout,
                        max_batches=max_batches,
                        deployment=deployment,
                        ready=polls.set,
                    )
                )
                polling = asyncio.ensure_future(polls.wait())
                await asyncio.wait({task, polling}, return_when=asyncio.FIRST_COMPLETED)
                polling.cancel()
                if not polls.is_set():
                    return  # told to stop before it polled; an error is the group's to raise
            ready()
    except ExceptionGroup as errors:
        # The first is the one that ended the others.
        raise errors.exceptions[0] from None


@contextlib.asynccontextmanager
async def telling(pipe: int | None, pulse: Pulse) -> AsyncIterator[None]:
    """Tell the supervisor how this process is, as long as the block lasts; where there is one that listens."""
    task = None if pipe is None else asyncio.create_task(keep_telling(pipe, pulse))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


@contextlib.asynccontextmanager
async def connected(
    connection: Connection, plugin: Plugin, pulse: Pulse, stop: asyncio.Event, log: Any
) -> AsyncIterator[Client | None]:
    """Connect, waiting for a server that is away, and keep an eye on it; None when told to stop meanwhile."""
    async with contextlib.AsyncExitStack() as stack:
        deadline = time.monotonic() + SERVER_WITHIN
        while not stop.is_set():
            try:
                client = await stack.enter_async_context(connection.client(plugin))
            except ServerRefuses:
                raise
            except NoServer as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                log.warning(
                    "no server yet; trying again",
                    reason=str(error).partition("\n")[0],
                    for_seconds=round(left),
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), min(_RETRY_EVERY, left))
            else:
                asking = asyncio.create_task(keep_asking(client, partial(setattr, pulse, "trouble")))
                stack.callback(asking.cancel)
                yield client
                return
        yield None


@contextlib.contextmanager
def parents_life(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` when the supervisor is gone: it holds the other end of our stdin, and never writes to it."""
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(0)
        end()

    loop.add_reader(0, gone)
    try:
        yield
    finally:
        loop.remove_reader(0)
