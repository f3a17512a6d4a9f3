"""Slices and partitions, binned: what a figure shows, however long or large the run is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fanout.durations import BOUNDS, Classes
from fanout.storage.past import PastPartition
from fanout.storage.records import Slice

MOST_BINS = 120
MOST_ROWS = 150
"""Rows of the partitions' timeline: more could not be told apart."""


@dataclass(frozen=True)
class Bins:
    """What was done in times of equal length.

    Attributes:
        edges: Begin and end of each, in seconds from the begin of the run.
        succeeded: Items that succeeded in each; fractions where a slice reaches over several.
        failed: Items that failed.
        busy: Item-seconds in flight.
        offered: Item-seconds that could have been in flight.
    """

    edges: list[float]
    succeeded: list[float]
    failed: list[float]
    busy: list[float]
    offered: list[float]

    @property
    def width(self) -> float:
        """Seconds of each."""
        return self.edges[1] - self.edges[0]

    def per_second(self, values: Sequence[float]) -> list[float]:
        """Return a quantity of each, for a second of it."""
        return [value / self.width for value in values]


def in_time(slices: Sequence[Slice], began: float, until: float, bins: int = MOST_BINS) -> Bins:
    """Divide what was done among times of equal length: evenly over the time of each slice.

    Args:
        slices: What was done when.
        began: Begin of the first bin.
        until: End of the last; what lies outside is counted in the nearest bin.
        bins: How many.
    """
    width = max(until - began, 1e-3) / bins
    made = Bins([width * n for n in range(bins + 1)], *([0.0] * bins for _ in range(4)))
    columns = (made.succeeded, made.failed, made.busy, made.offered)
    for one in slices:
        amounts = (one.succeeded, one.failed, one.busy, one.offered)
        for place, share in _shares((one.begin - began) / width, (one.end - began) / width, bins):
            for column, amount in zip(columns, amounts, strict=True):
                column[place] += amount * share
    return made


def _shares(low: float, high: float, bins: int) -> list[tuple[int, float]]:
    """Return which share of a stretch lies in which bin, both in widths of a bin."""
    low, high = min(max(low, 0.0), float(bins)), min(max(high, 0.0), float(bins))
    first, last = min(int(low), bins - 1), min(int(high), bins - 1)
    if first == last:
        return [(first, 1.0)]
    length = high - low
    return [
        (place, (min(high, place + 1) - max(low, place)) / length)
        for place in range(first, last + 1)
        if min(high, place + 1) > max(low, place)
    ]


@dataclass(frozen=True)
class Row:
    """One line of the partitions' timeline: one partition, or some neighbours.

    Attributes:
        first: Number of the first partition.
        last: And of the last one.
        stretches: Begin and end of the times in which it worked, in seconds from the begin of the run.
        failed: Which share of its items failed.
        live: Whether it has not ended.
    """

    first: int
    last: int
    stretches: list[tuple[float, float]]
    failed: float
    live: bool


def rows(partitions: Sequence[PastPartition], began: float, until: float, most: int = MOST_ROWS) -> list[Row]:
    """Return the lines of the partitions' timeline: at most so many, neighbours together where there are more."""
    together = -(-len(partitions) // most) or 1
    made = []
    for at in range(0, len(partitions), together):
        some = partitions[at : at + together]
        made.append(
            Row(
                first=some[0].number,
                last=some[-1].number,
                stretches=_joined([_stretch(one, began, until) for one in some if one.slices]),
                failed=sum(one.totals.failed for one in some) / max(1, sum(one.totals.done for one in some)),
                live=not all(one.ended for one in some),
            )
        )
    return made


def _stretch(partition: PastPartition, began: float, until: float) -> tuple[float, float]:
    end = until if not partition.ended else max(one.end for one in partition.slices)
    return max(0.0, min(one.begin for one in partition.slices) - began), max(0.0, end - began)


def _joined(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return stretches without overlaps."""
    made: list[tuple[float, float]] = []
    for low, high in sorted(stretches):
        if made and low <= made[-1][1]:
            made[-1] = made[-1][0], max(made[-1][1], high)
        else:
            made.append((low, high))
    return made


@dataclass(frozen=True)
class Bar:
    """One class of durations.

    Attributes:
        above: Seconds that its attempts take longer than; 0 for the first class.
        bound: Seconds that they do not take longer than; None for the last class.
        attempts: How many.
    """

    above: float
    bound: float | None
    attempts: int


def bars(classes: Classes) -> list[Bar]:
    """Return the classes from the first one that is not empty to the last, the empty ones between them too."""
    if not classes:
        return []
    counts = {number: attempts for number, attempts in classes if attempts}
    return [
        Bar(
            above=BOUNDS[number - 1] if number else 0.0,
            bound=BOUNDS[number] if number < len(BOUNDS) else None,
            attempts=counts.get(number, 0),
        )
        for number in range(classes[0][0], classes[-1][0] + 1)
    ]
