"""Sliding-window batch over child workflows: statements for forty customers, or a million, five at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns

HISTORY_LIMIT = 120
"""Events. Far too few but for a demonstration: leave it out, and the server says when it is time."""


@dataclass
class Batch:
    """What is left to do: the same few numbers, however many statements are sent."""

    next_customer: int
    last_customer: int
    sent: int = 0
    executions: int = 1


@activity.defn
async def send_statement(customer: int) -> int:
    await asyncio.sleep(0.01)
    return 1


@workflow.defn
class Statement:
    @workflow.run
    async def run(self, customer: int) -> int:
        return await workflow.execute_activity(
            send_statement, customer, start_to_close_timeout=timedelta(seconds=30)
        )


# --8<-- [start:pattern]
@workflow.defn
class MonthEnd:
    @workflow.run
    async def run(self, batch: Batch) -> Batch:
        customers = range(batch.next_customer, batch.last_customer + 1)
        async with patterns.sliding_window(
            Statement.run, customers, max_concurrency=5, id=statement_id
        ) as window:
            async for _, sent in window:
                batch.sent += sent
                if patterns.should_continue_as_new(HISTORY_LIMIT):
                    # What is in flight when a workflow continues as new would be lost, or terminated.
                    window.drain()
        if not window.exhausted:
            batch.next_customer += window.begun
            batch.executions += 1
            await patterns.continue_as_new(batch)
        return batch


# --8<-- [end:pattern]


def statement_id(customer: int) -> str:
    return f"statement-{customer}"


async def main() -> None:
    queue = "sliding-window-batch"
    async with serving(queue, workflows=[MonthEnd, Statement], activities=[send_statement]) as client:
        done = await client.execute_workflow(MonthEnd.run, Batch(1, 40), id=queue, task_queue=queue)
    print(f"{done.sent} statements sent, in {done.executions} executions")


if __name__ == "__main__":
    run(main())
