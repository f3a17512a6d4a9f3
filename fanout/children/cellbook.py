"""The book of a cell: it keeps no rows, and passes on what becomes of its items."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fanout.children.book import Book
from fanout.children.ledger import Ledger
from fanout.readers.base import Records
from fanout.storage.rests import Items

SAID = b"-"
"""Stands for a row that the parent has."""


@dataclass
class Message:
    """What has become of items since the last message, by their position.

    Attributes:
        succeeded: Outputs as JSON.
        failed: Type, message and traceback of final failures.
        attempts: How often items have failed so far.
        due: When those may run again that are tried again.
        counters: Sums of what was counted by the items that have succeeded, or failed for good.
    """

    succeeded: dict[int, bytes] = field(default_factory=dict)
    failed: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.succeeded or self.failed or self.attempts)


class News:
    """Gathers what is to be passed on; safe to use from the threads of a window.

    Args:
        ledger: Where it is marked what runs.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._returned: set[int] = set()
        self._next = Message()

    def start(self, positions: Iterable[int]) -> None:
        """Mark items that are being run."""
        self._ledger.start(positions)

    def done(self, positions: Iterable[int]) -> None:
        """Mark items whose run has ended; their outputs are looked for when the next message is made."""
        self._ledger.done(positions)
        self._returned.update(positions)

    def failed(self, position: int, attempts: int, due: float | None) -> None:
        """Pass on that an item has failed so often, and when it may run again."""
        self._ledger.failed(position, attempts)
        with self._lock:
            self._next.attempts[position] = attempts
            if due is not None:
                self._next.due[position] = due

    def settled(self, position: int, account: tuple[str, str, str]) -> None:
        """Pass on type, message and traceback of a final failure."""
        with self._lock:
            self._next.failed[position] = account

    def take(self, book: Book) -> Message:
        """Return what there is to say since the last time; no outcome may come about meanwhile."""
        with self._lock:
            message, self._next = self._next, Message()
        for position in list(self._returned):
            row = book.outputs[position]
            if row is not None:
                message.succeeded[position] = row
                book.outputs[position] = SAID
            if row is not None or book.settled(position):
                self._returned.discard(position)
        message.counters = book.tally.collect()
        # They are the parent's to bound from here on.
        book.held = 0
        return message


class _Given(Records):
    """Values that the parent has read."""

    def __init__(self, values: Sequence[Any], *, json: bool) -> None:
        self.values = values
        self.json = json

    def source(self, position: int) -> str:
        """See base class."""
        return ""


@dataclass
class CellBook(Book):
    """A book whose failures are written by its parent."""

    news: News = field(kw_only=True)

    @classmethod
    def open(
        cls,
        news: News,
        values: Sequence[Any],
        indexes: Sequence[int],
        *,
        json: bool,
        attempts: dict[int, int],
        **known: Any,
    ) -> CellBook:
        """Make the book of some items, wherever they stand in their batch."""
        items = [Items(0, len(values))]
        book = cls(items=items, parts=[_Given(values, json=json)], news=news, **known)
        book.indexes = indexes
        book.attempts = dict(attempts)
        return book

    def fail(self, position: int, error: BaseException) -> float | None:
        """See base class."""
        delay = super().fail(position, error)
        self.news.failed(position, self.attempts[position], None if delay is None else self.due[position])
        return delay

    def settle(self, position: int, error_type: str, message: str, trace: str) -> None:
        """See base class."""
        self.failures[position] = SAID
        self.news.settled(position, (error_type, message, trace))
