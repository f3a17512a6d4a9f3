"""Basic parallel activities: the forecast for every stop of a cycling tour, in the order of the tour."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns


@dataclass
class Stop:
    town: str
    kilometre: int


@dataclass
class Forecast:
    sky: str
    degrees: int


TOUR = [Stop("Passau", 0), Stop("Linz", 98), Stop("Melk", 214), Stop("Krems", 251), Stop("Vienna", 334)]
SKY = {
    "Passau": Forecast("rain", 14),
    "Linz": Forecast("rain", 15),
    "Melk": Forecast("clouds", 17),
    "Krems": Forecast("sun", 20),
    "Vienna": Forecast("sun", 22),
}


@activity.defn
async def forecast(stop: Stop) -> Forecast:
    await asyncio.sleep(0.4)  # the weather service is no faster than that
    return SKY[stop.town]


# --8<-- [start:pattern]
@workflow.defn
class Outlook:
    @workflow.run
    async def run(self, stops: list[Stop]) -> list[Forecast]:
        # Awaited one by one in a loop, each stop would wait for the answer of the stop before.
        return await patterns.gather(forecast, stops, start_to_close_timeout=timedelta(seconds=10))


# --8<-- [end:pattern]


async def main() -> None:
    queue = "parallel-activities"
    async with serving(queue, workflows=[Outlook], activities=[forecast]) as client:
        began = time.perf_counter()
        outlook = await client.execute_workflow(Outlook.run, TOUR, id=queue, task_queue=queue)
        seconds = time.perf_counter() - began
    for stop, there in zip(TOUR, outlook, strict=True):
        print(f"km {stop.kilometre:>3}  {stop.town:<7} {there.sky}, {there.degrees} °C")
    print(f"{len(TOUR)} answers of 0.4 s each, in {seconds:.1f} s")


if __name__ == "__main__":
    run(main())
