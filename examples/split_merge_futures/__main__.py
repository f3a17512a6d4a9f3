"""Split and merge by futures: sum up the quarters of a ledger in parallel, then carry the balance over in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns

OPENING = 10_000


@dataclass
class Quarter:
    name: str
    first_day: int
    last_day: int


QUARTERS = [Quarter("Q1", 1, 90), Quarter("Q2", 91, 181), Quarter("Q3", 182, 273), Quarter("Q4", 274, 365)]


@activity.defn
async def turnover(quarter: Quarter) -> int:
    # Bookings stay where they are: a few numbers go in, one comes back. History is no place for a ledger.
    await asyncio.sleep(0.02 * (365 - quarter.first_day) / 90)  # the oldest books take longest
    return sum(booked(day) for day in range(quarter.first_day, quarter.last_day + 1))


def booked(day: int) -> int:
    """Return what the shop took on a day, less what it spent: closed on Sundays, and rent is due every 30 days."""
    return (0 if day % 7 == 0 else 60 + day % 11) - (1500 if day % 30 == 1 else 0)


# --8<-- [start:pattern]
@workflow.defn
class YearEnd:
    @workflow.run
    async def run(self, quarters: list[Quarter]) -> list[int]:
        turnovers = await patterns.gather(turnover, quarters, start_to_close_timeout=timedelta(minutes=1))
        balances, balance = [], OPENING
        for amount in turnovers:
            balance += amount
            balances.append(balance)
        return balances


# --8<-- [end:pattern]


async def main() -> None:
    queue = "split-merge-futures"
    async with serving(queue, workflows=[YearEnd], activities=[turnover]) as client:
        balances = await client.execute_workflow(YearEnd.run, QUARTERS, id=queue, task_queue=queue)
    print(f"opening  {OPENING:>6}")
    for quarter, balance in zip(QUARTERS, balances, strict=True):
        print(f"after {quarter.name} {balance:>6}")


if __name__ == "__main__":
    run(main())
