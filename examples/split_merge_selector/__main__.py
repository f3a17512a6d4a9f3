"""Split and merge by selector: on election night each district counts as it reports, and the race is called early."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns

A_NIGHT = timedelta(hours=8)


@dataclass
class District:
    name: str
    ballots: int
    for_garcia: int
    hours: int


DISTRICTS = [
    District("Harbour", 2_000, 1_100, hours=5),
    District("Old Town", 6_500, 3_000, hours=4),
    District("Hillside", 12_000, 7_300, hours=3),
    District("Station", 9_000, 5_700, hours=2),
    District("Meadows", 3_000, 1_600, hours=1),
]


@activity.defn
async def count(district: District) -> int:
    await asyncio.sleep(district.hours * 0.3)
    return district.for_garcia


# --8<-- [start:pattern]
@workflow.defn
class ElectionNight:
    @workflow.run
    async def run(self, districts: list[District]) -> list[str]:
        garcia = lindqvist = 0
        uncounted = sum(district.ballots for district in districts)
        winner = None
        news = []
        # `gather` would be silent until the largest district is in.
        async with patterns.as_completed(count, districts, start_to_close_timeout=A_NIGHT) as reports:
            async for district, for_garcia in reports:
                garcia += for_garcia
                lindqvist += district.ballots - for_garcia
                uncounted -= district.ballots
                news.append(f"{district.name:<8}  García {garcia:>6,}  Lindqvist {lindqvist:>6,}")
                if winner is None and abs(garcia - lindqvist) > uncounted:
                    winner = "García" if garcia > lindqvist else "Lindqvist"
                    news.append(f"{winner} cannot be caught any more")
        return news


# --8<-- [end:pattern]


async def main() -> None:
    queue = "split-merge-selector"
    async with serving(queue, workflows=[ElectionNight], activities=[count]) as client:
        news = await client.execute_workflow(ElectionNight.run, DISTRICTS, id=queue, task_queue=queue)
    print("\n".join(news))


if __name__ == "__main__":
    run(main())
