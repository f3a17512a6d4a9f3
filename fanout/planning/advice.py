"""What looks wrong with a run that is planned, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fanout.options import Options
from fanout.planning.tree import Size, Tree

MANY_ACTIVITIES = 100_000
"""Activities of a run above which it is worth to say what makes them so many."""

OFTEN = 10
"""Histories of one partition above which it continues as new often."""

MANY_PARTITIONS = 100
TINY_PARTITION = 10_000
"""Items below which a partition costs more than it is worth, where there are many."""

NEARLY = 0.9
"""Of `max_concurrency`, where it is divided with a rest."""


def advise(size: Size, options: Options, tree: Tree, item_seconds: float = 0.0) -> list[str]:
    """Return what looks wrong, in sentences for a person; each says what to do.

    Args:
        size: What is known of the items.
        options: The effective options.
        tree: What becomes of the run.
        item_seconds: How long one item takes; 0 for a moment.
    """
    return [
        *_batches(options, tree),
        *_concurrency(size, options, tree),
        *_histories(options, tree),
        *_partitions(options, tree),
        *_items(size, options, item_seconds),
    ]


def _batches(options: Options, tree: Tree) -> Iterator[str]:
    batches = tree.levels[-1]
    if options.batch_size is not None and batches.count > MANY_ACTIVITIES:
        yield (
            f"batch_size={options.batch_size:,} makes {batches.count:,} activities: leave batch_size out, "
            "and batches find their size"
        )
    if options.batch_size is not None and (options.batch_concurrency or 0) > options.batch_size:
        yield (
            f"batch_concurrency={options.batch_concurrency:,} is more than a batch has items "
            f"(batch_size={options.batch_size:,}): no batch has so many in flight"
        )


def _concurrency(size: Size, options: Options, tree: Tree) -> Iterator[str]:
    wanted = options.max_concurrency
    if wanted > size.total > 0:
        yield (
            f"max_concurrency={wanted:,} is more than there are items: "
            f"no more than {size.total:,} are ever in flight"
        )
    if tree.in_flight < NEARLY * min(wanted, size.total):
        window = tree.window
        partitions = 1 if tree.alone else tree.levels[-2].live
        many = f"{partitions:,} partition{'' if partitions == 1 else 's'} at once"
        yield (
            f"max_concurrency={wanted:,} is not reached: {many}, each with {window.live:,} batches "
            f"of {window.width:,} items in flight, make {tree.in_flight:,}; raise batch_concurrency or batch_size"
            + (" or lower partition_size" if options.partition_size is not None else "")
        )


def _histories(options: Options, tree: Tree) -> Iterator[str]:
    if tree.window.executions > OFTEN:
        larger = "" if options.batch_size is None else "raise batch_size"
        longer = "" if options.history_limit is None else "raise history_limit, or leave it out"
        remedy = "; or ".join(text for text in (larger, longer) if text) or "set a larger batch_size"
        yield (
            f"a partition continues as new {tree.window.executions - 1:,} times, "
            f"and waits each time for its batches in flight: {remedy}"
        )


def _partitions(options: Options, tree: Tree) -> Iterator[str]:
    partitions = next((level for level in tree.levels if level.kind == "partition"), None)
    if (
        options.partition_size is not None
        and partitions is not None
        and partitions.count > MANY_PARTITIONS
        and partitions.items < TINY_PARTITION
    ):
        yield (
            f"partition_size={options.partition_size:,} makes {partitions.count:,} partitions, "
            "each of which costs a small server 50 to 90 ms: leave partition_size out, "
            f"or make it {TINY_PARTITION:,} at least"
        )


def _items(size: Size, options: Options, item_seconds: float) -> Iterator[str]:
    largest = max(size.largest, round(size.bytes / max(size.total, 1)))
    if largest > options.max_item_bytes:
        yield (
            f"there is an item of {largest:,} bytes or more, above max_item_bytes={options.max_item_bytes:,}: "
            "such items are recorded as failed, unread; raise max_item_bytes"
        )
    elif largest > options.max_batch_bytes:
        yield (
            f"there is an item of {largest:,} bytes or more, above max_batch_bytes={options.max_batch_bytes:,}: "
            "its batch holds nothing else; raise max_batch_bytes"
        )
    if options.timeout is not None and item_seconds > options.timeout:
        yield (
            f"an item takes {item_seconds:g} s, longer than timeout={options.timeout:g}: "
            "all would time out; raise timeout"
        )
