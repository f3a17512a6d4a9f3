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
        tail_items: Items of each run of `tail`.
        waiting_items: Items of `million`, all of which are to be in flight at once.
        waiting_seconds: How long each of them waits.
        scaling_items: Items of the runs of `scaling`.
        scaling_rounds: How often each of them is run, up to a million items.
        pattern_items: Items of each pattern of `patterns`.
        pattern_children: Items of that which runs a child workflow for each.
        pattern_rounds: Rounds of `patterns`.
        window_items: Items of `windows`.
        starts: Measured starts of each process of `startup`.
        hashed_items: Items of `cpu`.
        hash_rounds: Rounds of `cpu`.
        peer_rounds: Rounds of `peers`, over as many items.
        memory_items: Items of the run of `memory`.
        chain_items: Items of `continue_as_new`.
        chain_window: Items in flight in `continue_as_new`.
        partitions: Partitions of `tree`.
        max_children: Children that a node of it may have.
        pairs: Measured pairs of `latency`.
        busy_items: Items of `concurrency`.
        live_partitions: Partitions of `orders` that live at once.
    """

    items: int
    rounds: int
    tail_items: int
    waiting_items: int
    waiting_seconds: float
    scaling_items: tuple[int, ...]
    scaling_rounds: int
    pattern_items: int
    pattern_children: int
    pattern_rounds: int
    window_items: int
    starts: int
    hashed_items: int
    hash_rounds: int
    peer_rounds: int
    memory_items: int
    chain_items: int
    chain_window: int
    partitions: int
    max_children: int
    pairs: int
    busy_items: int
    live_partitions: int


SIZES = {
    # Only shows that everything runs: no figure of it means anything, and targets are not judged.
    Scale.SMOKE: Sizes(
        items=20_000,
        rounds=1,
        tail_items=5_000,
        waiting_items=50_000,
        waiting_seconds=10,
        scaling_items=(1_000, 10_000),
        scaling_rounds=1,
        pattern_items=200,
        pattern_children=10,
        pattern_rounds=1,
        window_items=200,
        starts=2,
        hashed_items=50,
        hash_rounds=1,
        peer_rounds=1,
        memory_items=200_000,
        chain_items=1_500,
        chain_window=50,
        partitions=12,
        max_children=5,
        pairs=3,
        busy_items=4_000,
        live_partitions=10,
    ),
    Scale.SHORT: Sizes(
        items=1_000_000,
        rounds=3,
        tail_items=200_000,
        waiting_items=300_000,
        waiting_seconds=20,
        scaling_items=(10_000, 100_000, 1_000_000),
        scaling_rounds=3,
        pattern_items=2_000,
        pattern_children=200,
        pattern_rounds=1,
        window_items=2_000,
        starts=7,
        hashed_items=2_000,
        hash_rounds=2,
        peer_rounds=1,
        memory_items=15_000_000,
        chain_items=7_000,
        chain_window=100,
        partitions=350,
        max_children=300,
        pairs=30,
        busy_items=60_000,
        live_partitions=200,
    ),
    Scale.FULL: Sizes(
        items=1_000_000,
        rounds=9,
        tail_items=200_000,
        waiting_items=1_000_000,
        waiting_seconds=60,
        scaling_items=(10_000, 100_000, 1_000_000, 10_000_000),
        scaling_rounds=5,
        pattern_items=5000,
        pattern_children=500,
        pattern_rounds=3,
        window_items=2_000,
        starts=21,
        hashed_items=5_000,
        hash_rounds=5,
        peer_rounds=5,
        memory_items=20_000_000,
        chain_items=20_000,
        chain_window=200,
        partitions=1_500,
        max_children=1_000,
        pairs=100,
        busy_items=240_000,
        live_partitions=200,
    ),
}
