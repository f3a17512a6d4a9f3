"""The items in flight that a partition may spend, and how many of them each of its batches holds. Pure."""

from __future__ import annotations

from math import ceil

from fanout.topology import MAX_WINDOW

MAX_BATCHES = 2 * MAX_WINDOW
"""Batches in flight, those included that have given up most of what they held: half of what Temporal allows."""


class Share:
    """What a partition may spend, and who has it.

    Args:
        limit: Items in flight of the whole partition.
        batch_concurrency: Items in flight of one batch at most.

    Attributes:
        limit: Items in flight of the whole partition; where it was lowered, more may be spent for a while.
        spent: Items in flight at most, just now.
    """

    def __init__(self, limit: int, batch_concurrency: int) -> None:
        self.limit = limit
        self._batch_concurrency = batch_concurrency
        self.spent = 0
        self._rate, self._wide = 0.0, 1
        self._held: dict[str, int] = {}
        self._rates: dict[str, float] = {}
        self._ending: set[str] = set()

    def pace(self, rate: float, wide: int) -> None:
        """Go by a rate limit from now on.

        Args:
            rate: Items that may begin in a second for each of those in flight; 0 for any number.
            wide: Items in flight that a batch is to have at least, as far as there are so many.
        """
        self._rate, self._wide = rate, wide

    @property
    def batches(self) -> int:
        """How many batches are in flight where the whole share is spent evenly."""
        return min(ceil(self.limit / self._most), MAX_WINDOW)

    @property
    def in_flight(self) -> int:
        """Batches that hold something."""
        return len(self._held)

    def offer(self) -> int:
        """Return the items in flight of the next batch; 0 where it has to wait.

        What is free is divided evenly. Less than half of what a batch may have is not worth one, while others run; less
        than a quarter where there is a rate limit: the part of it that waits as well is lost.
        """
        largest = self._most
        free = min(self.limit, MAX_WINDOW * largest) - self.spent - self._owed()
        if free <= 0 or self.in_flight >= MAX_BATCHES:
            return 0
        offered = ceil(free / ceil(free / largest))
        worth = (4 if self._rate else 2) * offered >= largest
        return offered if worth or not self._held else 0

    def take(self, key: str, count: int) -> None:
        """Note what a batch holds from now on."""
        self._held[key] = count
        self.spent += count
        if self._rate:
            self._rates[key] = self._rate

    def give_up(self, key: str, count: int) -> None:
        """Note that a batch in flight needs so many no more; one that has ended has given up all."""
        if key in self._held:
            freed = min(count, self._held[key])
            self._held[key] -= freed
            self.spent -= freed

    def end(self, key: str) -> None:
        """Note the end of a batch."""
        self.spent -= self._held.pop(key)
        self._rates.pop(key, None)
        self._ending.discard(key)

    def is_ending(self, key: str) -> bool:
        """Tell whether a batch was told to end."""
        return key in self._ending

    def revoke(self, limit: int) -> list[str]:
        """Return the batches that are to end now, so that no more than `limit` is spent once they have.

        They are those that were begun last, which have least to lose; none is returned twice.
        """
        left = self.spent - sum(self._held[key] for key in self._ending)
        chosen: list[str] = []
        for key in reversed(self._held):
            if left <= limit:
                break
            if key not in self._ending:
                chosen.append(key)
                left -= self._held[key]
        self._ending.update(chosen)
        return chosen

    # ---- private

    @property
    def _most(self) -> int:
        """Items in flight of one batch at most."""
        return max(self._batch_concurrency, min(self._wide, self.limit))

    def _owed(self) -> int:
        """Return what older batches hold beyond their number: each of theirs may still begin more than a new one."""
        if not self._rate:
            return 0
        dear = (
            self._held[key] * (rate / self._rate - 1)
            for key, rate in self._rates.items()
            if rate > self._rate
        )
        return ceil(sum(dear))
