"""One flight at a time: how far it is by great circle, and how late it arrived."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Literal

from pydantic import BaseModel

import fanout
from examples.flights.data import AIRPORTS

EARTH_RADIUS_KM = 6371.0088
KM_PER_MILE = 1.609344

Airports = dict[str, tuple[float, float]]
"""Latitude and longitude in radians, by the airport's code."""

Delay = Literal["on time", "late", "very late"]


class Flight(BaseModel):
    """The columns of flights.csv that are used; `NA` has become None."""

    origin: str
    dest: str
    distance: int  # in miles
    dep_delay: int  # in minutes; a flight without one was cancelled, and is not valid here
    arr_delay: int | None


@dataclass(slots=True)
class Leg:
    """What comes out."""

    km: float
    off_by: float  # by how much the file's own distance differs, as a share
    delay: Delay
    made_up: int  # minutes of delay made up in the air


@asynccontextmanager
async def airports() -> AsyncIterator[Airports]:
    """Load the airports once per worker process."""
    with AIRPORTS.open(newline="") as file:
        yield {
            row["faa"]: (radians(float(row["lat"])), radians(float(row["lon"])))
            for row in csv.DictReader(file)
        }


@fanout.processor(lifespan=airports)
async def leg(flight: Flight, places: Airports) -> Leg:
    if flight.arr_delay is None:
        raise fanout.ItemError("never arrived: no arrival delay", retryable=False)
    if flight.dest not in places:
        raise fanout.ItemError(f"airports.csv does not know {flight.dest}", retryable=False)
    km = great_circle(places[flight.origin], places[flight.dest])
    return Leg(
        km=round(km, 3),
        off_by=round(flight.distance * KM_PER_MILE / km - 1, 5),
        delay=classify(flight.arr_delay),
        made_up=flight.dep_delay - flight.arr_delay,
    )


def great_circle(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the way from a to b over the sphere, in km (haversine)."""
    half = sin((b[0] - a[0]) / 2) ** 2 + cos(a[0]) * cos(b[0]) * sin((b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(half))


def classify(arr_delay: int) -> Delay:
    """Return the class of a delay: the authorities call a flight on time below 15 minutes."""
    if arr_delay < 15:
        return "on time"
    return "late" if arr_delay < 60 else "very late"
