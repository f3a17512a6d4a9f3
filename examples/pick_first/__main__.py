"""Pick first: ask three couriers for a pickup, take the first who says yes, and call off who still thinks about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from examples.serving import run, serving
from fanout import patterns


@dataclass
class Courier:
    name: str
    thinks_for: float  # in seconds
    has_driver: bool = True


COURIERS = [
    Courier("Harbour Express", 60),
    Courier("Quick & Sons", 0.2, has_driver=False),
    Courier("Pedal Post", 1.2),
]


# --8<-- [start:pattern]
@activity.defn
async def ask(courier: Courier) -> str:
    try:
        for _ in range(int(courier.thinks_for / 0.1)):
            # An activity learns by its heartbeats that it is called off: without them it would think to the end.
            activity.heartbeat()
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        print(f"{courier.name}: called off")
        raise
    if not courier.has_driver:
        print(f"{courier.name}: no driver")
        raise ApplicationError("no driver", non_retryable=True)
    return courier.name


@workflow.defn
class Pickup:
    @workflow.run
    async def run(self, couriers: list[Courier]) -> str:
        # `first_completed` would have taken the quick "no"; this goes on until somebody says yes.
        return await patterns.first_success(
            ask,
            couriers,
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


# --8<-- [end:pattern]


async def main() -> None:
    queue = "pick-first"
    async with serving(queue, workflows=[Pickup], activities=[ask]) as client:
        courier = await client.execute_workflow(Pickup.run, COURIERS, id=queue, task_queue=queue)
    print(f"{courier} comes")


if __name__ == "__main__":
    run(main())
