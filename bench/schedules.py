"""When items of known durations would end, by two ways to run them: computed, not run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

Span = tuple[float, float]


def greedy(durations: Iterable[float], slots: int) -> Iterator[Span]:
    """Yield beginning and end of each item where a slot that gets free takes the next one: list scheduling.

    No slot stands idle while an item waits; the best of all schedules is at least half as long.
    """
    ends: list[float] = []
    for duration in durations:
        began = heapq.heappop(ends) if len(ends) == slots else 0.0
        heapq.heappush(ends, began + duration)
        yield began, began + duration


def chunked(durations: Sequence[float], size: int) -> Iterator[Span]:
    """Yield beginning and end of each item where the next chunk begins once all of a chunk have ended."""
    began = 0.0
    for first in range(0, len(durations), size):
        chunk = durations[first : first + size]
        yield from ((began, began + duration) for duration in chunk)
        began += max(chunk)


def makespan(spans: Iterable[Span]) -> float:
    """Return when the last item ends."""
    return max(end for _, end in spans)
