"""Heavy-tailed durations of items, drawn by a function of the item's index: whoever asks gets the same."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log
from statistics import NormalDist

MEAN = 0.1
"""Seconds of an item on average, before the longest are cut off."""

LONGEST = 2.0
"""Seconds of the longest item: some hundreds of 200,000 would take longer.

Uncut, the longest of so many takes longer than all others together in 2,000 slots, and its place alone decides.
"""

SIGMA = 1.5
ALPHA = 1.5

_MASK = 2**64 - 1
_normal = NormalDist()


def lognormal(index: int) -> float:
    """Return the seconds of an item; the median is a third of the mean."""
    return min(LONGEST, exp(log(MEAN) - SIGMA**2 / 2 + SIGMA * _normal.inv_cdf(_uniform(index))))


def pareto(index: int) -> float:
    """Return the seconds of an item; the shortest takes a third of the mean."""
    least = MEAN * (ALPHA - 1) / ALPHA
    return min(LONGEST, least * float(_uniform(index) ** (-1 / ALPHA)))


LAWS: dict[str, Callable[[int], float]] = {"lognormal": lognormal, "pareto": pareto}


def _uniform(index: int) -> float:
    """Return a number between 0 and 1, both excluded: splitmix64, as a generator for each item would be slow."""
    mixed = (index + 1) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return ((mixed ^ mixed >> 31) // 2**11 + 0.5) / 2**53
