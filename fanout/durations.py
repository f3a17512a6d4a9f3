"""How long attempts take, counted in few classes: bounds of 1, 2 and 5 times the powers of ten, from 1 µs on. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

BOUNDS: Sequence[float] = [float(f"{step}e{power}") for power in range(-6, 5) for step in (1, 2, 5)]
"""Class `n` holds what takes no longer than the nth of these and longer than the one before; one more, the rest."""

SLOW = 5e-5
"""Seconds of an attempt from which to look at the clock for each costs nothing that could be measured."""

Classes = list[list[int]]
"""`[class, attempts]`, in order, without those that are empty."""


class Durations:
    """Counts attempts as a window ends them.

    Attributes:
        busy: Item-seconds of all of them.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._quick = 0.0
        self.busy = 0.0

    def add(self, seconds: float, items: int = 1) -> None:
        """Count an attempt of so many items."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.busy += seconds * items

    def add_some(self, seconds: float, attempts: int) -> bool:
        """Count attempts that ended one after the other: one, or some that were too quick to be timed each.

        Where some took longer than such usually take, one of them did: it is told from the others.

        Returns:
            Whether attempts take so long that the next one should be timed by itself.
        """
        self.busy += seconds
        if attempts == 1:
            self._counts[bisect_left(BOUNDS, seconds)] += 1
            self._quick = seconds
            return seconds > SLOW
        each = seconds / attempts
        if each > 2 * self._quick > 0:
            attempts -= 1
            self._counts[bisect_left(BOUNDS, seconds - attempts * self._quick)] += 1
            self._counts[bisect_left(BOUNDS, self._quick)] += attempts
        else:
            self._quick = each
            self._counts[bisect_left(BOUNDS, each)] += attempts
        return each > SLOW

    @property
    def classes(self) -> Classes:
        """What was counted so far."""
        return [[number, count] for number, count in enumerate(self._counts) if count]


def merged(some: Iterable[Classes]) -> Classes:
    """Add up classes."""
    counts: dict[int, int] = {}
    for classes in some:
        for number, count in classes:
            counts[number] = counts.get(number, 0) + count
    return [[number, counts[number]] for number in sorted(counts)]


def quantile(classes: Classes, share: float) -> float | None:
    """Return a bound that this share of the attempts does not exceed; None where there are none.

    What is beyond the last bound counts as that.
    """
    left = share * sum(count for _, count in classes)
    for number, count in classes:
        left -= count
        if left <= 1e-9 * count:
            return BOUNDS[min(number, len(BOUNDS) - 1)]
    return BOUNDS[min(classes[-1][0], len(BOUNDS) - 1)] if classes else None
