"""How many items of a run may fail before it stops: what was said, and when that is passed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, sqrt
from typing import Any

from pydantic_core import PydanticCustomError

SAMPLE = 1_000
"""Settled items below which a rate of failures says little."""

HALF = Fraction(1, 2)

SURE = 5.0
"""Standard deviations by which a rate must be above what is tolerated before a run is stopped for it.

A run looks often; where items fail independently of each other, one look in three million is wrong."""

TELLINGS = 1_000
"""How often a run hears of failures, all its partitions together, before it has too many."""

_TEXT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<percent>%?)")


@dataclass(frozen=True)
class Tolerance:
    """What may fail.

    Attributes:
        count: So many items; None where it is a share.
        share: This share of all items.
        sample: Settled items from which on the rate of failures counts; None for 1,000. Where it is said, a run of
            fewer items is never stopped for a share.
    """

    count: int | None = None
    share: Fraction = HALF
    sample: int | None = None

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{float(100 * self.share):g}%"

    def allowed(self, total: int) -> int:
        """Return how many of so many items may fail."""
        return self.count if self.count is not None else int(self.share * total)

    def is_exceeded(self, failed: int, settled: int, total: int | None) -> bool:
        """Tell whether a run is to stop: too many have failed already, or all but certainly will.

        Args:
            failed: Items that have failed for good.
            settled: Items with an outcome.
            total: Items of the run; None while nobody knows how many there are.
        """
        if self.count is not None:
            return failed > self.count
        if total is not None and total >= (self.sample or 0) and failed > self.share * total:
            return True
        # The bound is a matter of floats, and alone it would stop a run of which nothing has failed.
        above = settled >= self._sample and failed > self.share * settled
        return above and _at_least(failed, settled) > self.share

    def may_be_exceeded(self, failed: int, total: int | None) -> bool:
        """Tell whether so many failures may be too many, depending on how many items are settled."""
        return self.is_exceeded(failed, max(failed, self._sample), total)

    @property
    def _sample(self) -> int:
        return SAMPLE if self.sample is None else self.sample

    def step(self, total: int, *, exact: bool) -> int:
        """Return after how many further failures a part of a run speaks of them; 0 where there cannot be too many.

        Args:
            total: Items of the run.
            exact: Whether it will not have more.
        """
        if self.count is None and (self.share >= 1 or (exact and total < (self.sample or 0))):
            return 0
        return max(1, ceil(self.allowed(total) / TELLINGS))


def parse(said: str | int) -> Tolerance:
    """Return what `100`, `"100"` or `"2.5%"` says.

    Raises:
        ValueError: It is neither, or above 100 %.
    """
    found = None if isinstance(said, bool) else _TEXT.fullmatch(str(said).strip())
    number = Fraction(found["number"]) if found else Fraction(-1)
    if found and found["percent"] and number <= 100:
        return Tolerance(share=number / 100)
    if found and not found["percent"] and number.denominator == 1:
        return Tolerance(count=int(number))
    raise ValueError("say a number of items, such as 100, or a percentage, such as '2.5%'")


def normal(said: Any) -> Any:
    """Return what stands in options for what `parse` takes."""
    try:
        return None if said is None else str(parse(said))
    except ValueError as error:
        raise PydanticCustomError("tolerance", "{reason}", {"reason": str(error)}) from None


def of(said: str | int | None, sample: int | None) -> Tolerance:
    """Return the tolerance of a run's options.

    Args:
        said: What `parse` takes; None for half of at least 1,000 settled items.
        sample: Settled items below which a rate does not count.
    """
    if said is None:
        return Tolerance(sample=SAMPLE if sample is None else sample)
    given = parse(said)
    return Tolerance(given.count, given.share, sample)


def _at_least(failed: int, settled: int) -> float:
    """Return a share that so many failures all but prove: the lower bound of Wilson's score interval.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not settled:
        return 0.0
    rate, square = failed / settled, SURE * SURE
    middle = rate + square / (2 * settled)
    spread = SURE * sqrt(rate * (1 - rate) / settled + square / (4 * settled * settled))
    return (middle - spread) / (1 + square / settled)
