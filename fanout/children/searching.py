"""The batches of one process that search: once they have found enough, none of them begins anything more.

Commits say what was found, and the root stops the run by that; but a batch may have long to go until then. To stop a
batch early is always safe: what it has not begun is handed back, and runs if it has to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isinf
from typing import Any, Literal

from fanout.children.book import Book, Dump
from fanout.children.window import Window
from fanout.writers.jsonl import NO_MATCH


@dataclass(eq=False)
class _Batch:
    window: Window
    found: int = 0


class Searches:
    """What the batches of this process have found and not committed yet, by run."""

    def __init__(self) -> None:
        self._batches: dict[str, list[_Batch]] = {}
        self._left = asyncio.Event()

    async def turn(self, nonce: str, wanted: float) -> None:
        """Wait as long as others have found enough and are about to commit: their last items may take long.

        A batch that began nothing, and was over at once, would be followed by the next one, again and again.

        Args:
            nonce: The run's.
            wanted: How many matches are enough.
        """
        while self._found(nonce) >= wanted:
            await self._left.wait()

    @contextmanager
    def joined(self, nonce: str, wanted: float, book: Book, window: Window) -> Iterator[None]:
        """Let a batch take part, from before its window runs until it has committed.

        Where others have found enough and are about to commit, it begins nothing.

        Args:
            nonce: The run's.
            wanted: How many matches are enough; infinite where the run does not search.
            book: The batch's items.
            window: Runs them.
        """
        if isinf(wanted):
            yield
            return
        loop, mine = asyncio.get_running_loop(), _Batch(window)
        batches = self._batches.setdefault(nonce, [])
        batches.append(mine)

        def look() -> None:
            if self._found(nonce) >= wanted:
                for batch in batches:
                    batch.window.stop()

        def note() -> None:
            mine.found += 1
            look()

        # Where items run in threads, windows are stopped all the same by the loop they belong to.
        book.dump = _noting(book.dump, lambda: loop.call_soon_threadsafe(note))
        look()
        try:
            yield
        finally:
            batches.remove(mine)
            if not batches:
                del self._batches[nonce]
            self._left.set()
            self._left = asyncio.Event()

    def _found(self, nonce: str) -> int:
        return sum(batch.found for batch in self._batches.get(nonce, ()))


def _noting(dump: Dump, note: Callable[[], object]) -> Dump:
    def noting(output: Any, /, *, warnings: Literal[False]) -> bytes:
        row = dump(output, warnings=warnings)
        if row != NO_MATCH:
            note()
        return row

    return noting
