"""Hello, async: begin what is slow, do something else, and wait for the slow one only where its result is needed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving

PATIENCE = timedelta(seconds=30)


@activity.defn
async def charge(order: str) -> str:
    await asyncio.sleep(1.2)  # the bank takes its time
    return f"{order}: paid"


@activity.defn
async def pack(order: str) -> str:
    await asyncio.sleep(0.1)
    return f"{order}: packed"


# --8<-- [start:pattern]
@workflow.defn
class Ship:
    @workflow.run
    async def run(self, order: str) -> list[str]:
        # `await execute_activity(charge, …)` at this place would keep the packers waiting for the bank.
        charging = workflow.start_activity(charge, order, start_to_close_timeout=PATIENCE)
        log = [await workflow.execute_activity(pack, order, start_to_close_timeout=PATIENCE)]
        log.append(f"{order}: the bank {'has answered' if charging.done() else 'is still at it'}")
        log.append(await charging)
        return log


# --8<-- [end:pattern]


async def main() -> None:
    queue = "hello-async"
    async with serving(queue, workflows=[Ship], activities=[charge, pack]) as client:
        log = await client.execute_workflow(Ship.run, "order 4711", id=queue, task_queue=queue)
    print("\n".join(log))


if __name__ == "__main__":
    run(main())
