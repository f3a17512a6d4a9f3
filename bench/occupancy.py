"""How many items were in flight, from the intervals that processors noted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
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


def steps(intervals: Iterable[Interval]) -> Iterator[tuple[int, int]]:
    """Yield each moment at which one began or ended, and how many overlap from then on.

    One that ends as another begins does not overlap it.
    """
    count = 0
    for at, change in sorted(edge for begin, end in intervals for edge in ((begin, 1), (end, -1))):
        count += change
        yield at, count


def occupancy(intervals: Iterable[Interval], *, ramp: float = 0.1, tail: float = 0.1) -> Occupancy:
    """Sum up some intervals.

    Args:
        intervals: Beginnings and ends, in nanoseconds of one clock.
        ramp: Share of the time that counts as the way up, and not as the steady state.
        tail: Share of the time that counts as the way down.
    """
    intervals = list(intervals)
    begins, ends = map(_Times, zip(*intervals, strict=True))

    def mean(low: int, high: int) -> float:
        return (begins.since(high) - begins.since(low) - ends.since(high) + ends.since(low)) / (high - low)

    first, last = begins.sorted[0], ends.sorted[-1]
    span = last - first
    edges = [first + span * step // 100 for step in range(101)]
    return Occupancy(
        highest=max(count for _, count in steps(intervals)),
        mean=mean(first + int(span * ramp), last - int(span * tail)),
        whole_mean=mean(first, last),
        seconds=span / 1e9,
        curve=[round(mean(low, high), 2) for low, high in pairwise(edges)],
    )


class _Times:
    """Some moments; sorted and summed up once, as there may be a million."""

    def __init__(self, moments: Iterable[int]) -> None:
        self.sorted = sorted(moments)
        self._sums = [0, *accumulate(self.sorted)]

    def since(self, now: int) -> int:
        """Return the time that has passed since the moments before now, over all of them."""
        passed = bisect_left(self.sorted, now)
        return passed * now - self._sums[passed]
