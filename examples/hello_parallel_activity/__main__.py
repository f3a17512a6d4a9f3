"""Hello, parallel activities: greet every guest at once, in the order of the list."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns

GUESTS = ["Amira", "Bo", "Chidi", "Dolores", "Emre"]


@activity.defn
async def greet(name: str) -> str:
    return f"Hello, {name}!"


# --8<-- [start:pattern]
@workflow.defn
class Welcome:
    @workflow.run
    async def run(self, guests: list[str]) -> list[str]:
        # Greetings arrive in any order; they are returned in that of the guests.
        return await patterns.gather(greet, guests, start_to_close_timeout=timedelta(seconds=10))


# --8<-- [end:pattern]


async def main() -> None:
    queue = "hello-parallel-activity"
    async with serving(queue, workflows=[Welcome], activities=[greet]) as client:
        greetings = await client.execute_workflow(Welcome.run, GUESTS, id=queue, task_queue=queue)
    print("\n".join(greetings))


if __name__ == "__main__":
    run(main())
