"""Saga: book flight, hotel and car for a trip in parallel; where one cannot be had, cancel what was booked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from examples.serving import run, serving
from fanout import patterns

PATIENCE = timedelta(seconds=30)


@dataclass
class Trip:
    city: str
    nights: int


@activity.defn
async def book_flight(trip: Trip) -> str:
    print(f"flight to {trip.city} booked")
    return f"OS-{len(trip.city)}17"


@activity.defn
async def book_hotel(trip: Trip) -> None:
    await asyncio.sleep(0.5)
    print(f"hotel for {trip.nights} nights booked")


@activity.defn
async def book_car(trip: Trip) -> None:
    await asyncio.sleep(1.2)
    raise ApplicationError(f"no car left in {trip.city}", type="SoldOut", non_retryable=True)


@activity.defn
async def cancel_flight(number: str) -> None:
    print(f"flight {number} cancelled")


@activity.defn
async def cancel_hotel(trip: Trip) -> None:
    # It may run twice, or after a booking that never arrived: so it cancels "the hotel of this trip", if there is one.
    print(f"hotel for {trip.nights} nights cancelled")


# --8<-- [start:pattern]
@workflow.defn
class BookTrip:
    @workflow.run
    async def run(self, trip: Trip) -> str:
        flight = patterns.step(
            book_flight, trip, compensate_output=cancel_flight, start_to_close_timeout=PATIENCE
        )
        # The booking may have arrived although the answer was lost: `always` cancels also where the step failed.
        hotel = patterns.step(
            book_hotel, trip, compensate=cancel_hotel, always=True, start_to_close_timeout=PATIENCE
        )
        car = patterns.step(book_car, trip, start_to_close_timeout=PATIENCE)
        try:
            number, _, _ = await patterns.saga(flight, hotel, car)
        except patterns.SagaFailed as failed:
            return f"stay at home: {failed.message}"
        return f"off to {trip.city} with {number}"


# --8<-- [end:pattern]


async def main() -> None:
    activities = book_flight, book_hotel, book_car, cancel_flight, cancel_hotel
    async with serving("saga", workflows=[BookTrip], activities=activities) as client:
        print(await client.execute_workflow(BookTrip.run, Trip("Oslo", 3), id="saga", task_queue="saga"))


if __name__ == "__main__":
    run(main())
