"""How soon items may begin, at a rate that changes while what has begun is still to be made up for. Pure arithmetic.

A leaky bucket: an item that begins raises the level by one, and the level falls at the rate. None begins that would
raise it above the capacity. Several meters together keep to the sum of their rates as long as a rate is handed from
one to another only once the level that it has to carry is down: so a lower rate holds only from then on.
"""

from __future__ import annotations

import math

BURST_SECONDS = 0.1
"""What was left unused may be made up for later: so many seconds' worth of it."""

_TINY = 1e-6
"""Part of an item that is not worth waiting for."""


class Meter:
    """Counts what begins.

    Args:
        now: Seconds of any clock that runs evenly.
        least: Capacity at least: what begins at once, such as the items of one call.
    """

    def __init__(self, now: float, *, least: float = 1.0) -> None:
        self._least = least
        self._at = now
        self._rate = self._wanted = 0.0
        # In items since the beginning: what has drained, how far places in the queue are given out, and how far what
        # has begun raised the level.
        self._drained = self._given = self._used = 0.0

    @property
    def rate(self) -> float:
        """Items in a second, as it holds now."""
        return self._rate

    @property
    def capacity(self) -> float:
        """The highest level that there may be."""
        return max(self._least, BURST_SECONDS * self._rate) if self._rate else 0.0

    def fill(self) -> None:
        """Let nothing begin but at the rate, from the first item on."""
        self._given = self._used = self._drained + self.capacity

    def change(self, rate: float, now: float) -> None:
        """Go by another rate: a higher one at once, a lower one once the level is as low as befits it."""
        self._advance(now)
        self._wanted = rate
        self._rate = max(self._rate, rate)
        self._advance(now)

    def left_to_pay(self, now: float) -> float:
        """Return the seconds until the rate that was asked for holds."""
        self._advance(now)
        if self._wanted >= self._rate:
            return 0.0
        return (self._used - self._drained - self._allowed) / self._rate

    def queue(self, count: int, now: float) -> float:
        """Give out a place in the queue for so many items that are to begin together."""
        self._advance(now)
        self._given = max(self._given, self._drained) + count
        return self._given

    def wait(self, place: float, count: int, now: float) -> float:
        """Return the seconds until what has this place may begin, as far as is known; 0 once it has begun."""
        self._advance(now)
        # Whose turn has long come may still find others that nobody let in meanwhile.
        raised = max(self._used, self._drained) + count
        short = max(place, raised) - self._allowed - self._drained
        if short > _TINY:
            return short / self._rate if self._rate else math.inf
        self._used = raised
        return 0.0

    def leave(self, place: float, count: int, now: float) -> None:
        """Give a place back that was not used: as much of it as has not drained meanwhile."""
        self._advance(now)
        self._given -= min(count, max(0.0, place - self._drained))

    # ---- private

    @property
    def _allowed(self) -> float:
        """The level up to which more may begin just now: while the rate is to fall, what befits the lower one."""
        return self.capacity * self._wanted / self._rate if self._wanted < self._rate else self.capacity

    def _advance(self, now: float) -> None:
        now = max(now, self._at)
        if self._wanted < self._rate:
            above = max(0.0, self._used - self._drained - self._allowed - _TINY)
            paid = self._at + above / self._rate
            if paid <= now:
                self._drained += above
                self._at, self._rate = paid, self._wanted
        self._drained += self._rate * (now - self._at)
        self._at = now
