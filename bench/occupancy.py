"""How many items were in flight, from the intervals that processors noted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.jobs import INTERVAL

Interval = tuple[int, int]


@dataclass(frozen=True)
class Occupancy:
    """Items in flight over the time of a run.

    Attributes:
        highest: At any moment.
        mean: Over the steady state.
        whole_mean: From the first beginning to the last end.
        seconds: From the first beginning to the last end.
        curve: The mean in each of a hundred equal parts of that time.
    """

    highest: int
    mean: float
    whole_mean: float
    seconds: float
    curve: list[float]


def read(folder: Path) -> list[Interval]:
    """Return the intervals that all processes noted."""
    found: list[Interval] = []
    for file in folder.glob("*.intervals"):
        found += INTERVAL.iter_unpack(file.read_bytes())
    return found


def occupancy(intervals: Sequence[Interval], *, ramp: float = 0.1, tail: float = 0.1) -> Occupancy:
    """Sum up some intervals.

    Args:
        intervals: Beginnings and ends, in nanoseconds of one clock.
        ramp: Share of the time that counts as the way up, and not as the steady state.
        tail: Share of the time that counts as the way down.
    """
    first = min(begin for begin, _ in intervals)
    last = max(end for _, end in intervals)
    span = last - first
    edges = [first + span * step // 100 for step in range(101)]
    curve = [_overlap(intervals, low, high) / (high - low) for low, high in pairwise(edges)]
    low, high = first + int(span * ramp), last - int(span * tail)
    return Occupancy(
        highest=highest(intervals),
        mean=_overlap(intervals, low, high) / (high - low),
        whole_mean=sum(end - begin for begin, end in intervals) / span,
        seconds=span / 1e9,
        curve=[round(value, 2) for value in curve],
    )


def highest(intervals: Iterable[Interval]) -> int:
    """Return how many intervals overlap at most; one that ends as another begins does not overlap it."""
    steps: list[tuple[int, int]] = []
    for begin, end in intervals:
        steps += [(begin, 1), (end, -1)]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def _overlap(intervals: Iterable[Interval], low: int, high: int) -> int:
    return sum(max(0, min(end, high) - max(begin, low)) for begin, end in intervals)
