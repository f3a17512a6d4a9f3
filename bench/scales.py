"""How large the benchmarks are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scale(StrEnum):
    """Which sizes to measure with."""

    SMOKE = "smoke"
    SHORT = "short"
    FULL = "full"


@dataclass(frozen=True)
class Sizes:
    """The sizes of one scale.

    Attributes:
        items: Items of a run of `throughput`.
        rounds: Rounds of `throughput`; each measures every contender once.
        peer_rounds: Rounds of `peers`, over as many items.
        memory_items: Items of the run of `memory`.
        chain_items: Items of `continue_as_new`.
        chain_window: Items in flight in `continue_as_new`.
        partitions: Partitions of `tree`.
        max_children: Children that a node of it may have.
        pairs: Measured pairs of `latency`.
        busy_items: Items of `concurrency`.
    """

    items: int
    rounds: int
    peer_rounds: int
    memory_items: int
    chain_items: int
    chain_window: int
    partitions: int
    max_children: int
    pairs: int
    busy_items: int


SIZES = {
    # Only shows that everything runs: no figure of it means anything, and targets are not judged.
    Scale.SMOKE: Sizes(
        items=20_000,
        rounds=1,
        peer_rounds=1,
        memory_items=200_000,
        chain_items=1_500,
        chain_window=50,
        partitions=12,
        max_children=5,
        pairs=3,
        busy_items=4_000,
    ),
    Scale.SHORT: Sizes(
        items=1_000_000,
        rounds=3,
        peer_rounds=2,
        memory_items=15_000_000,
        chain_items=20_000,
        chain_window=200,
        partitions=1_500,
        max_children=1_000,
        pairs=30,
        busy_items=60_000,
    ),
    Scale.FULL: Sizes(
        items=1_000_000,
        rounds=9,
        peer_rounds=5,
        memory_items=20_000_000,
        chain_items=20_000,
        chain_window=200,
        partitions=1_500,
        max_children=1_000,
        pairs=100,
        busy_items=240_000,
    ),
}
