"""How many items were settled lately, in a few numbers that add up: the rate of a run, told by the run itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence

STEP = 5.0
"""Seconds of one count."""

WINDOW = 60.0
"""Seconds that a rate looks back: batches commit every ten seconds or so, and a shorter time would flicker."""

KEPT = int(WINDOW / STEP) + 1
"""Counts that are kept: those of the window, and of the step that has just begun."""

SHORTEST = 1.0
"""Seconds that a rate is over at least: a run of a few milliseconds has none worth telling."""

Recent = list[int]
"""The number of a step since the epoch, and how many items were settled in it, in the next one, and so on.

Empty where nothing was; at most `KEPT` counts.
"""


def add(recent: Sequence[int], moment: float, count: int) -> Recent:
    """Return the counts with some more items, settled at a moment.

    Args:
        recent: The counts.
        moment: In seconds since the epoch.
        count: How many items.
    """
    return merge(recent, [int(moment // STEP), count]) if count else list(recent)


def merge(one: Sequence[int], other: Sequence[int]) -> Recent:
    """Return the sums of two nodes' counts."""
    if not one or not other:
        return list(one or other)
    first, end = min(one[0], other[0]), max(_end(one), _end(other))
    # Whatever lies before the window of the newest step is nobody's any more.
    first = max(first, end - KEPT)
    return [first, *(_at(one, step) + _at(other, step) for step in range(first, end))]


def rate(recent: Sequence[int], now: float, began: float) -> tuple[float, float]:
    """Return the items settled per second lately, and the seconds that this is over.

    Args:
        recent: The counts.
        now: Seconds since the epoch.
        began: When there was nothing yet.
    """
    if recent:
        # Counts are of the server's clock; one here that goes after it must not make them things of the future.
        now = max(now, (_end(recent) - 1) * STEP)
    first = int((now - WINDOW) // STEP) + 1
    seconds = max(now - max(first * STEP, began), SHORTEST)
    return sum(_at(recent, step) for step in range(first, first + KEPT)) / seconds, seconds


def _end(recent: Sequence[int]) -> int:
    return recent[0] + len(recent) - 1


def _at(recent: Sequence[int], step: int) -> int:
    return recent[1 + step - recent[0]] if recent and recent[0] <= step < _end(recent) else 0
