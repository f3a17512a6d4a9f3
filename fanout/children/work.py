"""What is left of a partition: ranges that no batch has taken, and what batches handed back. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from fanout.pages import RestRef

MAX_WAITING = 256
"""Entries handed back above which they are gathered into fewer: what a partition carries over stays small."""

GATHERED = 192
"""Entries that are gathered at once; and that one batch takes at most."""


@dataclass(frozen=True)
class Portion:
    """The items of one batch.

    Attributes:
        start: No item has a lower index.
        end: Nor one as high as this.
        count: How many items.
        rests: Where they are listed, if they were handed back; empty for the range.
    """

    start: int
    end: int
    count: int
    rests: list[RestRef] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The items in words."""
        items = f"items {self.start:,}–{self.end - 1:,}"
        return f"{self.count:,} of {items}, again" if self.rests else items


class Work:
    """What is left to do.

    Args:
        todo: Ranges `[start, count]`, in order.
        waiting: What was handed back.
    """

    def __init__(self, todo: Sequence[Sequence[int]], waiting: Sequence[RestRef] = ()) -> None:
        self.todo = [list(piece) for piece in todo]
        self.waiting = sorted(waiting, key=_when)

    @property
    def count(self) -> int:
        """Items that are left."""
        return sum(count for _, count in self.todo) + self.waiting_count

    @property
    def waiting_count(self) -> int:
        """Those of them that were handed back in sets."""
        return sum(ref.count for ref in self.waiting)

    @property
    def crowded(self) -> bool:
        """Whether so much waits that it should be gathered."""
        return len(self.waiting) > MAX_WAITING

    def ready(self, now: float) -> bool:
        """Tell whether a batch can begin."""
        return bool(self.todo) or (bool(self.waiting) and self.waiting[0].due <= now)

    def next_due(self, now: float) -> float | None:
        """Return when something will be due that is not due yet."""
        later = bisect_right(self.waiting, now, key=_due)
        return self.waiting[later].due if later < len(self.waiting) else None

    def take(self, size: int, now: float) -> Portion:
        """Take the items of a batch: what is due again first, else the next range.

        Args:
            size: How many items at most.
            now: Seconds since the epoch.
        """
        if self.waiting and self.waiting[0].due <= now:
            return self._take_due(size, now)
        start, count = self.todo[0]
        taken = min(size, count)
        if taken == count:
            self.todo.pop(0)
        else:
            self.todo[0] = [start + taken, count - taken]
        return Portion(start, start + taken, taken)

    def gather(self) -> Portion:
        """Take many entries that wait longest, to be handed back as few."""
        taken, self.waiting = self.waiting[-GATHERED:], self.waiting[:-GATHERED]
        return _portion(taken)

    def put_back(self, more: Sequence[Sequence[int]], rests: Sequence[RestRef]) -> None:
        """Take back what a batch did not do."""
        if more:
            self.todo = sorted([*self.todo, *map(list, more)])
        if rests:
            self.waiting = sorted([*self.waiting, *rests], key=_when)

    def _take_due(self, size: int, now: float) -> Portion:
        taken: list[RestRef] = []
        room = size
        while room and len(taken) < GATHERED and self.waiting and self.waiting[0].due <= now:
            first, other = self.waiting.pop(0).cut(room)
            if other is not None:
                self.waiting.insert(0, other)
            taken.append(first)
            room -= first.count
        return _portion(taken)


def _portion(refs: list[RestRef]) -> Portion:
    return Portion(
        start=min(ref.start for ref in refs),
        end=max(ref.end for ref in refs),
        count=sum(ref.count for ref in refs),
        rests=refs,
    )


def _due(ref: RestRef) -> float:
    return ref.due


def _when(ref: RestRef) -> tuple[float, str, int, int]:
    return ref.due, ref.key, ref.number, ref.offset
