"""How large the batches of a partition are, by how quick the ones before were. Pure."""

from __future__ import annotations

from fanout import topology
from fanout.options import Options

MANY_ROUNDS = 8
"""Items per slot of a batch that is long enough to tell how quick its items are."""


class Pacing:
    """Finds the size of batches.

    Args:
        options: The effective options.
        bytes_per_item: Of the source, on average; 0 where unknown.
        size: Batch size found so far.
        pace: Items that one batch does in a second; 0 while unknown.

    Attributes:
        size: Batch size found so far.
        pace: Items that one batch does in a second; 0 while unknown.
    """

    def __init__(self, options: Options, bytes_per_item: float, size: int, pace: float) -> None:
        self._options = options
        self._bytes_per_item = bytes_per_item
        self.size = size
        self.pace = pace

    def begin_anew(self) -> None:
        """Forget how quick batches were: another rate limit holds."""
        self.pace = 0.0
        self.size = topology.first_size(self._options, self._bytes_per_item)

    def learn(self, done: int, seconds: float, concurrency: int, *, limited: bool) -> None:
        """Take note of how quick a batch was.

        Args:
            done: Items that have their outcome in it.
            seconds: How long it ran.
            concurrency: Items that it had in flight at most.
            limited: Whether it had to keep to a rate limit.
        """
        if not done:
            return
        pace = done / max(seconds, 1e-6)
        # A batch of a few rounds spends most of its time on the last of its items, and says little of the others. Nor
        # does one of many rounds that keeps to a rate limit; but that it can be so quick is certain.
        if done >= MANY_ROUNDS * concurrency or not self.pace or (limited and pace > self.pace):
            self.pace = pace

    def grow(self, bytes_per_output: float) -> None:
        """Find the size of the next batches.

        Args:
            bytes_per_output: Of the results so far, on average.
        """
        largest = max(self._bytes_per_item, bytes_per_output)
        self.size = topology.grown_size(self.size, self.pace, self._options, largest)
