"""Marks of what a process has started and done, which outlive the process."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path

STARTED = 1
DONE = 2
MOST = 255
"""What a byte can tell."""


class Ledger:
    """Two bytes for each item, in a file that is mapped into memory: a mark costs a store, and no crash loses it.

    The first says how far it is, the second how often it has failed.

    Args:
        path: A file that `create` has made.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._marks = mmap.mmap(file.fileno(), 0)
        self._items = len(self._marks) // 2

    @classmethod
    def create(cls, path: Path, items: int) -> Ledger:
        """Make the file, without marks."""
        path.write_bytes(bytes(2 * items))
        return cls(path)

    def start(self, positions: Iterable[int]) -> None:
        """Mark items that are being run."""
        for position in positions:
            self._marks[position] = STARTED

    def done(self, positions: Iterable[int]) -> None:
        """Mark items whose run has ended, well or not."""
        for position in positions:
            self._marks[position] = DONE

    def failed(self, position: int, attempts: int) -> None:
        """Note how often an item has failed."""
        self._marks[self._items + position] = min(attempts, MOST)

    def attempts(self) -> dict[int, int]:
        """Return how often items have failed, where they have."""
        return {position: found for position, found in enumerate(self._marks[self._items :]) if found}

    def started(self) -> list[int]:
        """Return the items that are started and not done."""
        return self._marked(STARTED)

    def ended(self) -> list[int]:
        """Return the items that are done, and not started again."""
        return self._marked(DONE)

    def close(self) -> None:
        """Unmap the file."""
        self._marks.close()

    def _marked(self, mark: int) -> list[int]:
        return [position for position, found in enumerate(self._marks[: self._items]) if found == mark]
