"""A worker: polls a task queue, and runs what the client's plugin registers, until it is told to stop.

It stops in three steps. Told to stop, it takes nothing new. Batches in flight then have `shutdown_timeout` seconds to
end or to hand back what remains; they learn of it at once. What still runs after that is cancelled, and another
worker repeats it from its last commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from temporalio.worker import Worker

from fanout.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.worker import WorkerDeploymentConfig

    from fanout.plugin import Plugin

SHUTDOWN_TIMEOUT = 60.0
"""Seconds that batches in flight have at a shutdown. An orchestrator must not kill the process before."""

LONGEST_MARGIN = 5.0

_POLL = 0.05


async def run_worker(
    client: Client,
    task_queue: str,
    *,
    stop: asyncio.Event,
    shutdown_timeout: float = SHUTDOWN_TIMEOUT,
    max_batches: int | None = None,
    deployment: WorkerDeploymentConfig | None = None,
    ready: Callable[[], None] | None = None,
    workflows: Sequence[type] = (),
    activities: Sequence[Callable[..., Any]] = (),
) -> None:
    """Poll a task queue until `stop` is set and what was in flight has ended.

    Args:
        client: A client with a `fanout.Plugin`.
        task_queue: The queue to poll.
        stop: Set it to begin the shutdown.
        shutdown_timeout: Seconds that batches in flight have then.
        max_batches: Batches (and other activities) that run at once; None for the SDK's default of 100.
        deployment: The worker's version, where Temporal is to route by versions.
        ready: Called once, when the worker polls.
        workflows: Workflows beside those of the plugin.
        activities: Activities beside those of the plugin.

    Raises:
        UsageError: The client has no plugin of ours.
        Exception: The worker failed; Temporal's SDK says why.
    """
    plugin_of(client)
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        activities=activities,
        max_concurrent_activities=max_batches,
        deployment_config=deployment,
        graceful_shutdown_timeout=timedelta(seconds=shutdown_timeout - _margin(shutdown_timeout)),
    )
    running = asyncio.ensure_future(worker.run())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not (worker.is_running or running.done() or stopping.done()):
            await asyncio.wait({running, stopping}, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
        if worker.is_running and ready is not None:
            ready()
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            # `shutdown` waits for the end of a run that may fail before it begins: wait for the run itself.
            asking = asyncio.ensure_future(worker.shutdown())
            await asyncio.wait({running})
            asking.cancel()
        await running
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _margin(shutdown_timeout: float) -> float:
    """Return the seconds that batches have to commit after what was in flight has been cut off."""
    return min(LONGEST_MARGIN, shutdown_timeout / 4)


def plugin_of(client: Client) -> Plugin:
    """Return the fanout plugin of a client.

    Raises:
        UsageError: It has none.
    """
    from fanout.plugin import Plugin

    for plugin in client.config(active_config=True).get("plugins", []):
        if isinstance(plugin, Plugin):
            return plugin
    raise UsageError("this client has no fanout.Plugin: connect with fanout.connect(plugin=fanout.Plugin(…))")
