"""The batches of one partition, before it runs: how many, how long, in how many histories. Pure.

Items are taken to last equally long. Where they do not, batches that end give their places to further ones, and there
are more of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf

from fanout import topology
from fanout.children.share import Share
from fanout.options import Options
from fanout.planning import events
from fanout.rates import per_second

BATCH_OVERHEAD = 0.03
"""Seconds from the end of a batch to the beginning of the next one, about, on a small server."""


@dataclass(frozen=True)
class Window:
    """What becomes of one partition.

    Attributes:
        items: Its items.
        batches: How many batches, in all.
        live: How many of them at once.
        largest: Items of the largest one.
        width: Items in flight in one of them, at most.
        in_flight: Items in flight in the whole partition, at most.
        executions: Into how many histories it is divided by continuing as new.
        events: Events of all of them.
        longest: Events of the longest one.
        seconds: How long it takes; 0 where the items take no time.
        batch_seconds: How long its longest batch takes.
    """

    items: int
    batches: int
    live: int
    largest: int
    width: int
    in_flight: int
    executions: int
    events: int
    longest: int
    seconds: float
    batch_seconds: float


def plan_window(
    items: int,
    concurrency: int,
    batch_concurrency: int,
    options: Options,
    *,
    bytes_per_item: float = 0.0,
    item_seconds: float = 0.0,
    endless: bool = False,
) -> Window:
    """Find out how a partition is divided into batches.

    Args:
        items: Of the partition.
        concurrency: Items in flight that it may spend.
        batch_concurrency: Items in flight in one batch, at most.
        options: The effective options.
        bytes_per_item: Of the source, on average; 0 where unknown.
        item_seconds: How long one item takes; 0 for a moment.
        endless: Whether it never continues as new, as inside the root.
    """
    widths = _widths(concurrency, batch_concurrency, items)
    done = _run(items, widths, options, bytes_per_item, item_seconds)
    live = min(len(widths), done.batches)
    per_execution = max(1, done.batches)
    if not endless:
        limit = topology.history_limit(options, Share(concurrency, batch_concurrency).batches)
        per_execution = events.batches_within(limit, live)
    executions = max(1, ceil(done.batches / per_execution))
    small = items <= topology.SMALL
    return Window(
        items=items,
        batches=done.batches,
        live=live,
        largest=done.largest,
        width=min(widths[0], done.largest),
        in_flight=min(sum(widths), items),
        executions=executions,
        events=events.of_partition(done.batches, executions, small=small),
        longest=events.of_partition(min(done.batches, per_execution), 1, small=small),
        seconds=max(done.seconds, done.longest),
        batch_seconds=done.longest,
    )


@dataclass
class _Done:
    batches: int = 0
    largest: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, items: int, seconds: float, part: float, times: int = 1) -> None:
        """Add a batch that runs beside others, and has this part of what is in flight."""
        self.batches += times
        self.largest = max(self.largest, items)
        self.seconds += times * part * (seconds + BATCH_OVERHEAD)
        self.longest = max(self.longest, seconds)


def _widths(concurrency: int, batch_concurrency: int, items: int) -> list[int]:
    """Return how many items are in flight in each of the batches that run at once."""
    share, widths = Share(concurrency, batch_concurrency), list[int]()
    while len(widths) < items and (offered := share.offer()):
        share.take(str(len(widths)), offered)
        widths.append(offered)
    return widths or [0]


def _run(
    items: int, widths: Sequence[int], options: Options, bytes_per_item: float, item_seconds: float
) -> _Done:
    """Let batches begin and end, all that are in flight at the same time."""
    done = _Done()
    live = len(widths)
    rate = per_second(options.rate_limit) / options.max_concurrency

    def lasts(count: int, width: int) -> float:
        return max(item_seconds * ceil(count / width), count / (rate * width) if rate else 0.0)

    size, pace = topology.first_size(options, bytes_per_item), 0.0
    left = items
    while left:
        before, at_once = (size, pace), list[tuple[int, int]]()
        for width in widths:
            if not left:
                break
            count = topology.next_batch(size, pace, left, width, live, options, rate=rate)
            left -= count
            at_once.append((count, min(width, count)))
        limit = topology.OVERTIME * options.batch_seconds
        ended = [(min(count, _begun(width, limit, item_seconds)), width) for count, width in at_once]
        _add(done, ended, lasts)
        left += _items(at_once) - _items(ended)
        pace = at_once[0][1] / item_seconds if item_seconds else inf
        size = topology.grown_size(size, pace, options, bytes_per_item)
        if (size, pace) == before and len(at_once) == live:
            rounds = _repeated(at_once, ended, left)
            _add(done, ended, lasts, rounds)
            left -= rounds * _items(ended)
    return done


def _begun(width: int, seconds: float, item_seconds: float) -> int:
    """Return how many items begin within so many seconds, those included that begin at once."""
    return width * (int(seconds / item_seconds) + 1) if item_seconds else sys.maxsize


def _items(batches: Sequence[tuple[int, int]]) -> int:
    return sum(count for count, _ in batches)


def _add(
    done: _Done, batches: Sequence[tuple[int, int]], lasts: Callable[[int, int], float], times: int = 1
) -> None:
    """Count batches that run beside each other, as often as they do."""
    in_flight = sum(width for _, width in batches)
    for count, width in batches:
        done.add(count, lasts(count, width), width / in_flight, times)


def _repeated(taken: Sequence[tuple[int, int]], ended: Sequence[tuple[int, int]], left: int) -> int:
    """Return how many more rounds are like this one, of which batches have handed back what they did not begin.

    That are those for which what is left is more than a fair share for each batch.
    """
    largest, widest = max(count for count, _ in taken), max(width for _, width in taken)
    handed_back = _items(taken) - _items(ended)
    return max(0, (left - handed_back - len(taken) * (largest + widest)) // _items(ended))
