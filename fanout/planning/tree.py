"""The tree of a run, before it runs: from its size and options to its workflows, events and duration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from fanout import topology
from fanout.children.life import HEARTBEAT_SECONDS
from fanout.options import Options
from fanout.planning import events
from fanout.planning.window import Window, plan_window
from fanout.topology import Shape

CHILD_SECONDS = 0.07
"""What a child workflow costs a small server: children of one node begin one after the other."""

BATCH_SECONDS = 0.01
"""What a batch costs the server and the workers."""

START_SECONDS = 0.3


@dataclass(frozen=True)
class Level:
    """One level of the tree.

    Attributes:
        kind: `"root"`, `"group"`, `"partition"` or `"batch"`.
        count: How many there are, in the whole run.
        items: Items of the largest one.
        live: How many run at once, over the whole run, at most.
        in_flight: Items in flight in one of them, at most.
    """

    kind: str
    count: int
    items: int
    live: int
    in_flight: int


@dataclass(frozen=True)
class Tree:
    """What the arithmetic says of a run.

    Attributes:
        levels: From the root down to the batches.
        alone: Whether the root takes care of all items itself.
        window: Of a partition of full size.
        workflows: Workflows in all; one that continues as new counts once.
        continued: How often any of them continues as new.
        activities: Batches, planning, publishing and finishing, where these are activities of their own.
        local_activities: Planning, publishing and finishing within a workflow task.
        signals: Shares that are handed on from what has ended to what has not.
        events: Events in all histories.
        longest_history: Events in the longest one.
        heartbeats: Signs of life of all batches; 0 where items take no time.
        in_flight: Items in flight over the whole run, at most.
        seconds: How long it takes; 0 where items take no time.
    """

    levels: tuple[Level, ...]
    alone: bool
    window: Window
    workflows: int
    continued: int
    activities: int
    local_activities: int
    signals: int
    events: int
    longest_history: int
    heartbeats: int
    in_flight: int
    seconds: float

    @property
    def actions(self) -> int:
        """Actions that Temporal Cloud bills: starts, children (two each), activities, signals and heartbeats.

        And one for search attributes at the end, which a namespace without them saves.
        """
        children = self.workflows - 1
        # Markers of one workflow task are one action, also those of a patch.
        patches = sum(level.count for level in self.levels if level.kind in ("root", "group"))
        markers = self.local_activities + (patches if self.signals else 0)
        started = 1 + 2 * children + self.continued
        return started + events.MARK + self.activities + markers + self.signals + self.heartbeats


@dataclass(frozen=True)
class Size:
    """What is known of the items.

    Attributes:
        total: How many.
        exact: Whether that is certain when the run begins.
        bytes: Of all of them in the source; 0 where unknown.
        pages: In which the source is planned.
        inline: Whether planning reads nothing.
        largest: Bytes that its largest item has at least; 0 where unknown.
    """

    total: int
    exact: bool = True
    bytes: int = 0
    pages: int = 1
    inline: bool = True
    largest: int = 0


def plan_tree(size: Size, options: Options, *, list_size: int = 1, item_seconds: float = 0.0) -> Tree:
    """Find out what becomes of a run.

    Args:
        size: What is known of the items.
        options: The effective options.
        list_size: Items that one call of the processor takes.
        item_seconds: How long one item takes; 0 for a moment.
    """
    total = size.total
    shape = topology.plan(total, options, exact=size.exact, list_size=list_size)
    if not total or topology.runs_alone(shape, total, options):
        window = _window(shape, total, options.max_concurrency, size, options, item_seconds, endless=True)
        return _alone(size, options, window, item_seconds)
    nodes, share = _nodes(shape, total, options.max_concurrency)
    window = _window(shape, min(shape.partition_size, total), share, size, options, item_seconds)
    rest = total % shape.partition_size
    last = _window(shape, rest, share, size, options, item_seconds) if rest else window
    return _summed_up(shape, size, options, nodes, window, last, item_seconds)


def _alone(size: Size, options: Options, window: Window, item_seconds: float) -> Tree:
    found = events.of_root_alone(window.batches, inline=size.inline)
    return Tree(
        levels=(
            Level("root", 1, size.total, 1, options.max_concurrency),
            Level("batch", window.batches, window.largest, window.live, window.width),
        ),
        alone=True,
        window=window,
        workflows=1,
        continued=0,
        activities=window.batches + (not size.inline),
        local_activities=2 + size.inline,
        signals=0,
        events=found,
        longest_history=found,
        heartbeats=_heartbeats(size.total, window, item_seconds),
        in_flight=window.in_flight,
        seconds=START_SECONDS + window.seconds if item_seconds else 0.0,
    )


def _summed_up(
    shape: Shape,
    size: Size,
    options: Options,
    nodes: list[Level],
    window: Window,
    last: Window,
    item_seconds: float,
) -> Tree:
    partitions = nodes[-1]
    full = partitions.count - 1
    batches = full * window.batches + last.batches
    children = sum(node.count for node in nodes[1:])
    small = size.total <= topology.SMALL
    published = [window.items <= topology.SMALL] * min(full, 1) + [last.items <= topology.SMALL]
    local = (full if full and published[0] else 0) + published[-1]
    handed_on = [_handed_on(shape, node, below) for node, below in pairwise(nodes)]
    signals = sum(node.count * count for node, count in zip(nodes, handed_on, strict=False))
    root = events.of_root(
        _children(shape, size.total, shape.levels), size.pages, inline=size.inline, small=small
    )
    root += events.of_hand_ons(handed_on[0])
    groups = sum(
        node.count * (events.of_group(0) + events.of_hand_ons(count))
        for node, count in zip(nodes[1:-1], handed_on[1:], strict=False)
    )
    below_groups = (children - _children(shape, size.total, shape.levels)) * events.CHILD
    largest_group = max(
        (
            events.of_group(min(shape.max_children, below.count))
            + events.of_hand_ons(count)
            + events.SIGNAL_RECEIVED
            for below, count in zip(nodes[2:], handed_on[1:], strict=False)
        ),
        default=0,
    )
    work = full * window.seconds + last.seconds + partitions.count * CHILD_SECONDS
    in_flight = min(options.max_concurrency, size.total, partitions.live * window.in_flight)
    return Tree(
        levels=(
            *nodes,
            Level(
                "batch",
                batches,
                max(window.largest, last.largest),
                min(batches, partitions.live * window.live),
                window.width,
            ),
        ),
        alone=False,
        window=window,
        workflows=1 + children,
        continued=full * (window.executions - 1) + last.executions - 1,
        activities=batches
        + (partitions.count - local)
        + (0 if size.inline else size.pages)
        + (0 if small else 1),
        local_activities=local + (size.pages if size.inline else 0) + small,
        signals=signals,
        events=root
        + groups
        + below_groups
        + full * window.events
        + last.events
        + signals * events.SIGNAL_RECEIVED,
        longest_history=max(root, largest_group, window.longest, last.longest),
        heartbeats=full * _heartbeats(window.items, window, item_seconds)
        + _heartbeats(last.items, last, item_seconds),
        in_flight=in_flight,
        seconds=max(
            START_SECONDS + max(work / partitions.live, window.seconds),
            batches * BATCH_SECONDS,
            size.total * item_seconds / in_flight,
        )
        if item_seconds
        else 0.0,
    )


def _nodes(shape: Shape, total: int, concurrency: int) -> tuple[list[Level], int]:
    """Return the levels from the root to the partitions, and what a partition may spend."""
    nodes = [Level("root", 1, total, 1, concurrency)]
    share, live, items = concurrency, 1, total
    for level in range(shape.levels, -1, -1):
        at_once = topology.live_children(shape, level, share, items)
        share = topology.divide(share, at_once)[0]
        items = min(shape.unit(level), items)
        count = _children(shape, total, level)
        live = min(live * at_once, count)
        nodes.append(Level("partition" if level == 0 else "group", count, items, live, share))
    return nodes, share


def _children(shape: Shape, total: int, level: int) -> int:
    """Return how many nodes of the run are children of nodes at this level."""
    return ceil(total / shape.unit(level))


def _handed_on(shape: Shape, node: Level, below: Level) -> int:
    """Return how many shares a node hands on: all that live below it but the last one leave theirs to another."""
    live = min(shape.max_children, below.live // max(node.live, 1))
    # A share that a group is given is spread over all that live below it.
    passed_on = live if node.kind == "group" else 0
    return max(0, live - 1) + passed_on


def _window(
    shape: Shape,
    items: int,
    concurrency: int,
    size: Size,
    options: Options,
    item_seconds: float,
    *,
    endless: bool = False,
) -> Window:
    return plan_window(
        items,
        concurrency,
        shape.batch_concurrency,
        options,
        bytes_per_item=size.bytes / max(size.total, 1),
        item_seconds=item_seconds,
        endless=endless,
    )


def _heartbeats(items: int, window: Window, item_seconds: float) -> int:
    """Return how often the batches of a partition report, each once in a second that it lasts."""
    if not item_seconds or not window.batches:
        return 0
    return window.batches * int(
        items / window.batches / max(window.width, 1) * item_seconds / HEARTBEAT_SECONDS
    )
