"""What `fanout.map` is compared with: a bare workflow that runs one activity, on a plain Temporal worker.

Run as a process of its own, `python -m bench.one_activity ADDRESS QUEUE`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def echo(number: int) -> int:
    """Return what was given."""
    return number


@workflow.defn
class OneActivity:
    """Runs one activity."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Return what the activity returns."""
        return await workflow.execute_activity(echo, number, start_to_close_timeout=timedelta(seconds=10))


async def _main(address: str, queue: str) -> None:
    client = await Client.connect(address)
    await Worker(client, task_queue=queue, workflows=[OneActivity], activities=[echo]).run()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
