"""How large the scenarios are: short in every test run, long by `make faults`; and the seed of what is random."""

from __future__ import annotations

import os
import random
import zlib
from dataclasses import dataclass
from typing import Final

SCALE_VARIABLE: Final = "FANOUT_FAULTS"
SEED_VARIABLE: Final = "FANOUT_FAULTS_SEED"


@dataclass(frozen=True)
class Scale:
    """The size of one scenario.

    Attributes:
        name: `short` or `long`.
        items: Items of a scenario.
        partition_size: Items of a partition.
        batch_size: Items of a batch.
        batch_concurrency: Items in flight in a batch.
        max_concurrency: Items in flight in a run.
        item_ms: Shortest and longest time of an item.
        history_limit: Small enough that partitions continue as new several times.
        heartbeat_timeout: Of batches, in seconds.
        faults: How often a fault that repeats is injected.
        outage: Seconds that the whole fleet, or the network, is away.
        within: Seconds that a disturbed run may take.
    """

    name: str
    items: int
    partition_size: int
    batch_size: int
    batch_concurrency: int
    max_concurrency: int
    item_ms: tuple[int, int]
    history_limit: int
    heartbeat_timeout: float
    faults: int
    outage: float
    within: float


SHORT: Final = Scale(
    name="short",
    items=2_000,
    partition_size=1_000,
    batch_size=20,
    batch_concurrency=10,
    max_concurrency=80,
    item_ms=(40, 120),
    history_limit=100,
    heartbeat_timeout=2.0,
    faults=3,
    outage=6.0,
    within=120.0,
)
LONG: Final = Scale(
    name="long",
    items=100_000,
    partition_size=25_000,
    batch_size=250,
    batch_concurrency=50,
    max_concurrency=1_000,
    item_ms=(200, 800),
    history_limit=200,
    heartbeat_timeout=5.0,
    faults=12,
    outage=60.0,
    within=1_200.0,
)


def chosen() -> Scale:
    """Return the scale that the environment asks for.

    Raises:
        ValueError: There is no such scale.
    """
    asked = os.environ.get(SCALE_VARIABLE) or "short"
    for scale in (SHORT, LONG):
        if scale.name == asked:
            return scale
    raise ValueError(f"{SCALE_VARIABLE} is short or long, not {asked!r}")


def seed() -> int:
    """Return the seed of this test run."""
    return int(os.environ.get(SEED_VARIABLE) or 1)


def dice(name: str) -> random.Random:
    """Return the random numbers of one scenario: the same for the same seed, whatever else runs."""
    return random.Random(zlib.crc32(f"{seed()} {name}".encode()))
