"""Processors that are workflows.

`python -m tests.integration.item_workflows ADDRESS QUEUE FOLDER` is a worker process that has them.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

import fanout


@dataclass
class Order:
    """An order of a shop."""

    number: int
    country: str


@activity.defn
async def tax(country: str) -> float:
    """Know the taxes of some countries."""
    if country == "XX":
        raise ApplicationError("no such country", type="UnknownCountry", non_retryable=True)
    return {"DE": 0.19, "FR": 0.2}.get(country, 0.0)


@fanout.processor(retries=2)
@workflow.defn(name="ship-order")
class ShipOrder:
    """Ships one order: a step, a timer, and a signal that some orders wait for."""

    def __init__(self) -> None:
        self._released = self._waits = False

    @workflow.run
    async def run(self, order: Order, currency: str, hold_from: int = 1_000) -> dict[str, str]:
        """Ship an order; those from `hold_from` on wait until somebody releases them."""
        once = RetryPolicy(maximum_attempts=1)
        share = await workflow.execute_activity(
            tax, order.country, start_to_close_timeout=timedelta(seconds=10), retry_policy=once
        )
        await asyncio.sleep(0.01)
        if order.number >= hold_from:
            self._waits = True
            await workflow.wait_condition(lambda: self._released)
        info = fanout.info()
        return {"price": f"{100 * (1 + share):.0f} {currency}", "key": info.key, "run": info.run_id}

    @workflow.query
    def waits(self) -> bool:
        """Tell whether it has come to where it waits to be released."""
        return self._waits

    @workflow.signal
    def release(self) -> None:
        """Let it go on."""
        self._released = True


@fanout.processor(retries=0)
@workflow.defn
class Fails:
    """Fails in the ways in which a workflow may."""

    @workflow.run
    async def run(self, kind: str) -> str:
        """Fail in one way."""
        if kind == "final":
            raise ApplicationError("never", type="Final", non_retryable=True)
        if kind == "waits":
            await workflow.wait_condition(lambda: False)
        return kind


@fanout.processor(retries=3)
@workflow.defn
class FailsOnce:
    """Fails in its first attempt."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Return in which attempt it succeeds."""
        attempt = fanout.info().attempt
        if attempt == 1:
            raise ApplicationError("the first one")
        return attempt


async def work(address: str, queue: str, folder: str) -> None:
    """Be a worker until somebody kills it."""
    plugin = fanout.Plugin([ShipOrder], store=Path(folder) / "out", allowed_roots=[folder])
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=queue, activities=[tax]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    # As a module of its own name, so that workflows find themselves.
    from tests.integration.item_workflows import work as main

    asyncio.run(main(*sys.argv[1:]))
