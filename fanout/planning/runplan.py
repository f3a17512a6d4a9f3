"""What `fanout.plan` returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from fanout.pages import Json
from fanout.planning.tree import Level


@dataclass(frozen=True)
class RunPlan:
    """What a run will be, before it is one.

    Counts are those of a run that nothing disturbs: no item is retried, no worker dies, nobody looks. Items are taken
    to last equally long.

    Attributes:
        processor: Its name.
        items: How many items there are.
        exact: Whether that is certain; else it is estimated from the first page, as the run itself does.
        levels: The tree, from the root down to the batches.
        workflows: Workflows in all; one that continues as new counts once.
        continued: How often any of them continues as new.
        activities: Activities that a worker is given, batches above all.
        local_activities: Those that run inside a workflow task.
        signals: Shares of `max_concurrency` that are handed on from what has ended to what has not.
        heartbeats: Signs of life of batches; None where `item_seconds` is unknown.
        events: Events in all histories, at most; at least half of it: what ends at the same moment shares a workflow
            task.
        longest_history: The same for the longest history.
        actions: Actions that Temporal Cloud bills, heartbeats included where known.
        source_bytes: Of the items in their source.
        staged_bytes: What `start` writes into the store.
        read_bytes: What workers read: once to plan, where that takes reading, and once to run.
        in_flight: Items in flight over the whole run, at most.
        item_seconds: How long an item takes; None where unknown.
        seconds: How long the run takes, about, where workers have room for `in_flight`; None where unknown.
        options: The effective options.
        warnings: What looks wrong, and what to do about it.
        notes: What the numbers rest on.
    """

    processor: str
    items: int
    exact: bool
    levels: tuple[Level, ...]
    workflows: int
    continued: int
    activities: int
    local_activities: int
    signals: int
    heartbeats: int | None
    events: int
    longest_history: int
    actions: int
    source_bytes: int
    staged_bytes: int
    read_bytes: int
    in_flight: int
    item_seconds: float | None
    seconds: float | None
    options: dict[str, Json] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
