"""Child-workflow fan-out: every new colleague gets a workflow of their own, with its steps and its history."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns

COLLEAGUES = ["Ines", "Jonas", "Kaya", "Lamar"]
PATIENCE = timedelta(seconds=30)


@activity.defn
async def make_account(name: str) -> str:
    return f"{name.lower()}@atelier.example"


@activity.defn
async def order_laptop(address: str) -> int:
    return 100 + len(address)


@workflow.defn
class Onboarding:
    @workflow.run
    async def run(self, name: str) -> str:
        address = await workflow.execute_activity(make_account, name, start_to_close_timeout=PATIENCE)
        await workflow.sleep(0.3)  # until their first day
        number = await workflow.execute_activity(order_laptop, address, start_to_close_timeout=PATIENCE)
        return f"{address}, laptop {number}"


# --8<-- [start:pattern]
@workflow.defn
class FirstOfTheMonth:
    @workflow.run
    async def run(self, names: list[str]) -> list[str]:
        # Started one after the other, each child would wait until the server has accepted the one before. Ids that
        # say whom they are about are found in Temporal Web, and nobody is onboarded twice at the same time.
        return await patterns.gather(Onboarding.run, names, id=lambda name: f"onboarding-{name}")


# --8<-- [end:pattern]


async def main() -> None:
    queue = "child-workflow-fan-out"
    workflows, activities = [FirstOfTheMonth, Onboarding], [make_account, order_laptop]
    async with serving(queue, workflows=workflows, activities=activities) as client:
        done = await client.execute_workflow(FirstOfTheMonth.run, COLLEAGUES, id=queue, task_queue=queue)
    print("\n".join(done))


if __name__ == "__main__":
    run(main())
