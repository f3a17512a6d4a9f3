"""`fanout.count()`: what a processor adds to the counters of its run, and how that is kept until it is committed.

A counter sums up what the attempts have counted that brought their items to their outcomes, and travels with these: in
the same checkpoint, the same commit, the same message of a process. What repeats items never repeats what they counted.
"""

from __future__ import annotations

import contextvars
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Protocol

from fanout.errors import CountError
from fanout.models import MAX_COUNTERS

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_MOST_VALUES = 512
"""Values that are kept apart, so that their sum is rounded once for so many."""

Add = Callable[[str, float], None]

current: contextvars.ContextVar[Add] = contextvars.ContextVar("fanout_count")
"""Set once per slot, not per item: it is called only when a processor counts."""


def count(name: str, value: float = 1) -> None:
    """Add to a counter of the run, from within a processor.

    What the attempt has counted that brings the item to its outcome is in the run's sums exactly once, whatever died
    or was repeated meanwhile. Of an attempt that is followed by another, nothing is.

    Args:
        name: Of the counter: up to 40 letters, digits and `_`; at most 20 names in a run.
        value: A finite number, not negative.

    Raises:
        CountError: The name or the number cannot be counted; fails the item, without further attempts.
        RuntimeError: Not called from within a processor.
    """
    add = current.get(None)
    if add is None:
        raise RuntimeError("fanout.count() counts only inside a processor")
    # Whatever its annotation says: the text of what is no text must not name a counter.
    if type(name) is not str or not NAME.fullmatch(name):
        raise CountError(
            f"{str(name)[:80]!r} cannot name a counter: use up to 40 letters, digits and _, no digit first"
        )
    add(name, number(name, value))


def number(name: str, value: object) -> float:
    """Return what may be counted.

    Raises:
        CountError: It is no number, not finite, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise CountError(f"counter {name!r} adds up numbers, not {type(value).__name__} ({str(value)[:80]})")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or found < 0:
        raise CountError(f"counter {name!r} adds up finite numbers from 0 on, not {str(value)[:80]}")
    return found


class Attempt(Protocol):
    """Where an attempt runs: a slot of a window.

    Attributes:
        counted: The position that has last counted here; -1 for none.
    """

    counted: int

    @property
    def positions(self) -> Sequence[int]:
        """The items that are attempted; none, or -1, in between."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the attempt any more."""


class Tally:
    """What the attempts of a batch have counted and no checkpoint holds yet; safe to use from threads.

    Args:
        settled: Tells whether the item at a position has its outcome.
    """

    def __init__(self, settled: Callable[[int], bool]) -> None:
        self._settled = settled
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._pending: dict[int, dict[str, float]] = {}
        self._sums: dict[str, list[float]] = {}

    def add(self, attempt: Attempt, name: str, value: float) -> None:
        """Note what an attempt counts. With a list of items, the first one stands for all.

        Raises:
            CountError: There are too many names.
            RuntimeError: No item is attempted.
        """
        with self._lock:
            if attempt.abandoned:
                return
            position = next(iter(attempt.positions), -1)
            if position < 0:
                raise RuntimeError("fanout.count() counts only inside a processor, while its item runs")
            self._check(name)
            # So no more is kept apart than runs at the moment.
            if attempt.counted not in (position, -1) and self._settled(attempt.counted):
                self._fold(self._pending.pop(attempt.counted, {}))
            attempt.counted = position
            counts = self._pending.setdefault(position, {})
            counts[name] = counts.get(name, 0.0) + value

    def take(self, position: int) -> dict[str, float]:
        """Return what an attempt has counted, and forget it."""
        if not self._pending:
            return {}
        with self._lock:
            return self._pending.pop(position, {})

    def keep(self, counts: Mapping[str, float]) -> None:
        """Add what was counted by attempts that have brought an item to its outcome."""
        if counts:
            with self._lock:
                self._fold(counts)

    def collect(self) -> dict[str, float]:
        """Return the sums over all items that have their outcome, and begin anew."""
        with self._lock:
            for position in [one for one in self._pending if self._settled(one)]:
                self._fold(self._pending.pop(position))
            sums, self._sums = self._sums, {}
        return {name: math.fsum(values) for name, values in sums.items()}

    def _check(self, name: str) -> None:
        if name not in self._names and len(self._names) >= MAX_COUNTERS:
            known = ", ".join(sorted(self._names))
            raise CountError(
                f"counter {name!r} is one too many: a run has at most {MAX_COUNTERS} counters, and there are {known}"
            )
        self._names.add(name)

    def _fold(self, counts: Mapping[str, float]) -> None:
        for name, value in counts.items():
            values = self._sums.setdefault(name, [])
            values.append(value)
            if len(values) >= _MOST_VALUES:
                values[:] = [math.fsum(values)]
