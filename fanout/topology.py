"""From the size of a run and its options to the shape of its tree: pure arithmetic.

The numbers come from Temporal's limits and from what its pieces cost: a child workflow costs a small server 50 to
90 ms, so partitions are few and large; one workflow is one lock, so a window stays below `MAX_WINDOW`; hundreds of
pending children are fine, 2,000 are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isqrt

from fanout.options import Options
from fanout.rates import per_second

MAX_WINDOW = 500
"""Batches in flight in one partition: a quarter of the 2,000 pending activities that Temporal allows."""

USUAL_BATCHES = 100
"""Batches in flight of a run, unless their concurrency would be too large: a worker process holds so many at once."""

LARGEST_CONCURRENCY = 10_000
"""Items in flight in one batch: more are lost where its worker dies, and gain nothing."""

MAX_LIVE_CHILDREN = 100
"""Children of one node that run at once, unless the window asks for more."""

FIRST_BATCH = 30_000
"""Where items turn out to be slow, what is not begun in time is handed back …"""

FIRST_BYTES = 4 * 1024 * 1024
"""… and so much of it was read in vain at most."""

LARGEST_BATCH = 30_000
"""Beyond this a larger batch gains little, and loses more when its worker dies."""

OVERTIME = 2
"""A batch that lasts so many times `batch_seconds` hands the rest back: cheap, as a batch without an end is not."""

PARTITION_SIZE = 1_000_000
LARGEST_PARTITION = 10_000_000
USUAL_PARTITIONS = 64
BATCHES_PER_PARTITION = 2_500
LEAST_RATE = 10.0
"""Items that a batch may begin in a second, where its run has a rate limit that allows as many: fewer batches with more
each lose less of it at their ends."""

ITEMS_PER_SMALL_BATCH = 25
"""A set of a hundred items is better off with four activities than with ten."""

HISTORY_LIMIT = 10_000
MAX_HISTORY_LIMIT = 40_000
EVENTS_PER_BATCH = 7
"""Scheduled, started, completed; the workflow task of its completion has three more; one for good measure."""

GROWTH = 20

SMALL = 1000
"""Items of a run that needs no child workflow, and of a partition whose publishing takes no activity of its own."""

SHORTEST_BATCH = 1.0
"""Seconds below which a batch is not made smaller for the sake of a common end."""


@dataclass(frozen=True)
class Shape:
    """The tree of one run.

    Attributes:
        partition_size: Items of each partition but the last.
        levels: Levels of groups between the root and the partitions; 0 where the root starts the partitions.
        max_children: Children of any node at most.
        exact: Whether the number of items was known when the shape was found.
        batch_concurrency: Items in flight in one batch at most.
    """

    partition_size: int
    levels: int
    max_children: int
    exact: bool
    batch_concurrency: int

    def unit(self, level: int) -> int:
        """Return the items below one child of a node at this level; 0 is a node whose children are partitions."""
        return self.partition_size * int(self.max_children**level)

    def level_holding(self, items: int) -> int:
        """Return the lowest level of a node's child that holds so many items: 0 is a partition."""
        level = 0
        while self.unit(level) < items:
            level += 1
        return level

    def takes_the_rest(self, number: int) -> bool:
        """Tell whether the root's child of this number takes all items that are left.

        Where the size was estimated there may be more items than the planned children hold: so no source can pass
        `max_children`.
        """
        return not self.exact and number == self.max_children - 1


def plan(total: int, options: Options, *, exact: bool = True, list_size: int = 1) -> Shape:
    """Find the shape of a run.

    Args:
        total: Items of the run, or an estimate of them.
        options: The effective options.
        exact: Whether `total` is exact.
        list_size: Items that one call of the processor takes.
    """
    total = max(total, 1)
    batch_concurrency = _batch_concurrency(total, options, list_size)
    partition_size = options.partition_size or _partition_size(total, options, batch_concurrency)
    # An estimate from the first page may be well short of the truth.
    partitions = ceil(total * (1 if exact else 2) / partition_size)
    levels = 0
    while partitions > options.max_children ** (levels + 1):
        levels += 1
    return Shape(partition_size, levels, options.max_children, exact, batch_concurrency)


def _batch_concurrency(total: int, options: Options, list_size: int) -> int:
    if options.batch_concurrency is not None:
        found = options.batch_concurrency
    else:
        largest = options.batch_size or ITEMS_PER_SMALL_BATCH
        # As many batches as each has items in flight, within what workers hold at once.
        root = min(isqrt(options.max_concurrency - 1) + 1, USUAL_BATCHES)
        batches = max(root, ceil(options.max_concurrency / LARGEST_CONCURRENCY))
        batches = min(batches, ceil(total / min(largest, ITEMS_PER_SMALL_BATCH)))
        found = max(list_size, ceil(options.max_concurrency / batches))
        rate = per_second(options.rate_limit) / options.max_concurrency
        found = max(found, limited_concurrency(rate, options))
    return min(found, options.batch_size or found, options.max_concurrency)


def limited_concurrency(rate: float, options: Options) -> int:
    """Return the items in flight that a batch needs to begin `LEAST_RATE` items in a second.

    Args:
        rate: Items that may begin in a second for each of those in flight; 0 for any number.
        options: The effective options: a person may want smaller batches.
    """
    if not rate or options.batch_concurrency is not None:
        return 1
    return min(ceil(LEAST_RATE / rate), LARGEST_CONCURRENCY, options.batch_size or LARGEST_CONCURRENCY)


def _partition_size(total: int, options: Options, batch_concurrency: int) -> int:
    size = PARTITION_SIZE
    if options.batch_size is not None:
        size = min(size, BATCHES_PER_PARTITION * options.batch_size)
    size = min(max(size, ceil(total / USUAL_PARTITIONS)), LARGEST_PARTITION)
    # Enough partitions that their windows together reach max_concurrency.
    windows = ceil(ceil(options.max_concurrency / batch_concurrency) / MAX_WINDOW)
    useful = ceil(total / batch_concurrency / MAX_WINDOW)
    return max(1, min(size, ceil(total / max(1, min(windows, useful)))))


def runs_alone(shape: Shape, total: int, options: Options) -> bool:
    """Tell whether the root takes care of all items itself: a child workflow would cost more than they do."""
    return total <= min(SMALL, shape.partition_size) and shape.exact and options.history_limit is None


def live_children(shape: Shape, level: int, concurrency: int, items: int) -> int:
    """Return how many children of a node run at once.

    Args:
        shape: The run's shape.
        level: Of the node; 0 where its children are partitions.
        concurrency: Items in flight that the node may spend.
        items: Items below the node, as far as known.
    """
    children = max(1, ceil(items / shape.unit(level)))
    if level > 0:
        # Two at once, so that one group's tail is filled by the next group.
        wanted = max(2, ceil(concurrency / (MAX_LIVE_CHILDREN * MAX_WINDOW * shape.batch_concurrency)))
    else:
        batches = ceil(concurrency / shape.batch_concurrency)
        # Two batches each, so that a partition never stands still; but a small one has only so many.
        each = min(2, max(1, shape.partition_size // shape.batch_concurrency))
        wanted = max(min(batches // each, MAX_LIVE_CHILDREN), ceil(batches / MAX_WINDOW), 1)
    return min(wanted, children, concurrency, shape.max_children)


def divide(whole: int, parts: int) -> list[int]:
    """Divide into parts that differ by one at most, the larger first.

    Raises:
        ValueError: There are fewer than one part.
    """
    if parts < 1:
        raise ValueError(f"cannot divide into {parts} parts")
    share, rest = divmod(whole, parts)
    return [share + (1 if number < rest else 0) for number in range(parts)]


def respread(shares: Sequence[int], whole: int) -> list[int]:
    """Return shares that add up to `whole`: all are lower than before, or all are higher, or as they were.

    So no share grows while another one is still being lowered. Where it is lowered the largest give, where it is raised
    the smallest get.

    Args:
        shares: What each has; where there is none, nobody gets anything.
        whole: What they are to have together.
    """
    if not shares:
        return []
    lower = whole < sum(shares)
    bound = min if lower else max
    low, high = 0, max(whole, *shares)
    while low < high:
        # The highest level at which all that lies beyond it adds up to no more than the whole.
        level = (low + high + 1) // 2
        if sum(bound(share, level) for share in shares) <= whole:
            low = level
        else:
            high = level - 1
    found = [bound(share, low) for share in shares]
    left = whole - sum(found)
    for number, share in enumerate(shares):
        if left and (share > low if lower else share <= low):
            found[number] += 1
            left -= 1
    return found


def history_limit(options: Options, batches: int) -> int:
    """Return the events after which a partition continues as new.

    A window drains before it does, so a larger window gets a longer history, within Temporal's limit.
    """
    if options.history_limit is not None:
        return options.history_limit
    return max(HISTORY_LIMIT, min(MAX_HISTORY_LIMIT, 10 * EVENTS_PER_BATCH * batches))


def next_batch(
    size: int,
    pace: float,
    remaining: int,
    concurrency: int,
    batches: int,
    options: Options,
    *,
    rate: float = 0.0,
    list_size: int = 1,
) -> int:
    """Return how many items the next batch of a partition takes.

    What remains is divided evenly among the batches in flight, so that they end together; but none is shorter than
    about `SHORTEST_BATCH`, which is what a batch costs, and each has whole rounds of its items in flight.

    Args:
        size: Batch size found so far.
        pace: Items that one batch does in a second; 0 while unknown.
        remaining: Items of the partition that no batch has taken.
        concurrency: Items in flight of this batch.
        batches: Batches that the partition keeps in flight.
        options: The effective options.
        rate: Items that may begin in a second for each of those in flight; 0 for any number.
        list_size: Items that one call of the processor takes.
    """
    if options.batch_size is not None:
        return min(options.batch_size, remaining)
    fair = remaining // batches // concurrency * concurrency
    least = max(concurrency, ceil(min(pace * SHORTEST_BATCH, size)))
    taken = min(remaining, max(least, min(size, fair)))
    if rate:
        taken = min(taken, max(list_size, ceil(rate * concurrency * options.batch_seconds)))
    return taken


def used_concurrency(count: int, concurrency: int, rate: float, options: Options) -> int:
    """Return the items in flight that a batch of so many items has a use for.

    Args:
        count: Its items.
        concurrency: Items in flight that it may have.
        rate: Items that may begin in a second for each of those in flight, with which it would last about
            `batch_seconds`; 0 for any number.
        options: The effective options.
    """
    paced = ceil(count / (rate * options.batch_seconds)) if rate else 0
    return min(concurrency, max(count, paced))


def first_size(options: Options, bytes_per_item: float) -> int:
    """Return the batch size that a partition begins with."""
    size = options.batch_size or FIRST_BATCH
    if options.batch_size is None and bytes_per_item > 0:
        size = min(size, int(FIRST_BYTES / bytes_per_item))
    return max(1, min(size, _most(options, bytes_per_item)))


def grown_size(size: int, pace: float, options: Options, bytes_per_item: float) -> int:
    """Return the batch size that follows `size`, once batches are known to do `pace` items a second."""
    if options.batch_size is not None or pace <= 0:
        return size
    wanted = min(pace * options.batch_seconds, LARGEST_BATCH)
    return max(1, min(int(wanted), GROWTH * size, _most(options, bytes_per_item)))


def _most(options: Options, bytes_per_item: float) -> int:
    largest = options.batch_size or LARGEST_BATCH
    if bytes_per_item > 0:
        largest = int(min(largest, options.max_batch_bytes / bytes_per_item))
    return max(1, largest)
