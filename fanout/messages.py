"""What clients, workflows and batches tell workflows, under the names in `wire`.

Histories keep these shapes for years: add fields with defaults, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fanout.compensation import Compensator, Undone
from fanout.models import PartitionTime, Totals
from fanout.pages import Json, Page, RestRef, Source
from fanout.reduction import Reduction
from fanout.selection import Selection
from fanout.stopping import StopWhen


@dataclass(frozen=True)
class Scheduled:
    """What a run goes by that a schedule starts: each of its runs has the same input.

    Attributes:
        time_zone: Of the dates in the source and the parameters.
    """

    time_zone: str = "UTC"


@dataclass(frozen=True)
class RunInput:
    """What `start` sends to the root.

    Attributes:
        nonce: Fresh for each start; see the commit protocol. Empty where a schedule starts the run: then it is made of
            the root's execution.
        store: URL of the store that the output goes to.
        processor: Registered name.
        source: Where the items come from.
        params: The run's parameters.
        settings: Options said by the caller.
        environment: Options said by the caller's environment: they yield to the processor's own.
        previous: URL of the output that this run continues, or takes items of up again.
        stop_when: What ends the run early.
        attributes: Search attributes that the root may set: the namespace has them.
        scheduled: What a run of a schedule goes by; None for others.
        rerun: Which items it takes up again, or undoes; None where it runs items of its own.
        undone: What it undoes, where it is a compensation.
        compensate: What it starts by itself where it fails.
        reduce: What makes one value of all that its processor returns; None where nothing does.
    """

    nonce: str
    store: str
    processor: str
    source: Source
    params: dict[str, Json] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    previous: str | None = None
    stop_when: StopWhen | None = None
    attributes: list[str] = field(default_factory=list)
    scheduled: Scheduled | None = None
    rerun: Selection | None = None
    undone: Undone | None = None
    compensate: Compensator | None = None
    reduce: Reduction | None = None


@dataclass(frozen=True)
class RunRef:
    """What every workflow below the root needs to know of its run.

    Attributes:
        run_id: The run's id.
        output: URL of the run's output.
        nonce: The run's nonce.
        processor: Registered name.
        options: The effective options.
        partition_size: Items of each partition.
        max_children: Children of any node at most.
        batch_concurrency: Items in flight of one batch at most.
        first: The run's first item; partitions are numbered from there.
        list_size: Items that one call of the processor takes.
    """

    run_id: str
    output: str
    nonce: str
    processor: str
    options: dict[str, Any]
    partition_size: int
    max_children: int
    batch_concurrency: int
    first: int
    list_size: int = 1


@dataclass(frozen=True)
class Order:
    """What a person wants of a run.

    Attributes:
        id: Of the order: sent twice, it counts once.
        kind: `"pause"`, `"resume"`, `"update"` or `"drain"`.
        at: When it was given, in seconds since the epoch.
        who: Gave it.
        reason: Why.
        now: Whether a pause cuts off what is in flight.
        resume_after: Seconds after which a pause is over; None for no end.
        max_concurrency: Items in flight from now on; None where they stay as they are.
        rate_limit: Items that may begin in some time, such as `50/s`; `none` for any number, None where it stays.
        tolerated_failures: What may fail, such as `100` or `2.5%`; None where it stays.
    """

    id: str
    kind: str
    at: float
    who: str
    reason: str = ""
    now: bool = False
    resume_after: float | None = None
    max_concurrency: int | None = None
    rate_limit: str | None = None
    tolerated_failures: str | None = None


@dataclass(frozen=True)
class Standing:
    """What a node is to go by until it hears otherwise.

    Attributes:
        version: Counted by the node that says it; of two, the higher one holds.
        concurrency: Items that may be in flight below the child.
        paused: Nothing new begins.
        now: And what is in flight is cut off.
        draining: Nothing new begins any more.
        revoked: And batches that run begin no further item.
        tell_every: After so many further failures the node above wants to hear of them; 0 for never.
        tell_counters: And of counters, by name, after each was raised by so much.
        rate: Items that may begin in a second for each of those in flight; 0 for any number. So the rate goes where
            the concurrency goes.
        enough: What ends the run early: a partition where this has come about by itself begins nothing more.
    """

    version: int
    concurrency: int
    paused: bool = False
    now: bool = False
    draining: bool = False
    revoked: bool = False
    tell_every: int = 0
    tell_counters: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    enough: StopWhen | None = None


@dataclass(frozen=True)
class BranchInput:
    """A contiguous range of items that one child workflow takes care of: a group, or a partition (level -1)."""

    run: RunRef
    level: int
    start: int
    count: int
    pages: list[Page]
    concurrency: int
    state: PartitionState | None = None
    standing: Standing | None = None


@dataclass(frozen=True)
class BranchOutput:
    """What came of a branch, as it folds up the tree; `samples` are a handful of failures, as text."""

    items: int
    totals: Totals
    not_run: int = 0
    partitions: int = 0
    slowest: list[PartitionTime] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    recent: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class PartitionState:
    """What a partition carries over when it continues as new; its size does not depend on the items done.

    Attributes:
        todo: Ranges `[start, count]` that no batch has taken, in order.
        waiting: Items that batches handed back, the first due first; at most a few hundred entries.
        keys: The keys of its batches: for each planner the first number and the one after the last.
        sequence: Number of the next batch.
        size: Batch size found so far.
        pace: Items that one batch does in a second; 0 while unknown.
        totals: Of the commits so far.
        began: When the partition began, in seconds since the epoch.
        executions: How often it continued as new.
        samples: A handful of failures, as text.
        recent: How many items were settled lately; see `fanout.recent`.
        told: What it has told the node above; None where an older version carried nothing over.
    """

    todo: list[list[int]]
    sequence: int
    size: int
    totals: Totals
    began: float
    pace: float = 0.0
    executions: int = 0
    samples: list[str] = field(default_factory=list)
    waiting: list[RestRef] = field(default_factory=list)
    keys: dict[str, list[int]] = field(default_factory=dict)
    recent: list[int] = field(default_factory=list)
    told: Interim | None = None


@dataclass(frozen=True)
class Interim:
    """What a node says of itself while it goes on.

    Attributes:
        node: Its workflow id.
        failed: Items below it that have failed for good.
        counters: Sums of those counters that the node above wants to hear of.
    """

    node: str
    failed: int
    counters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Spare:
    """What a batch in flight gives up of its concurrency.

    Attributes:
        key: The batch's key.
        count: Items in flight that it needs no more.
    """

    key: str
    count: int


@dataclass(frozen=True)
class NodeProgress:
    """Answer of any node to the progress query: its settled numbers, and the live nodes below it.

    Attributes:
        total: Items of the node, as far as known.
        planned: Whether `total` is exact.
        totals: Of everything settled here or in children that ended.
        in_flight: Items that may run now (partitions only).
        children: Workflow ids of the children whose numbers are not in `totals`: the live ones, and those that failed.
        samples: A handful of failures, as text.
        waiting: Items that were handed back, and run again later (partitions only).
        recent: How many items of `totals` were settled lately; see `fanout.recent`.
        ended: Partitions that have ended, those of `children` left out.
        partition: Its number, where the node takes care of one itself.
        searching: Whether the run looks for matches (the root only).
    """

    total: int
    planned: bool
    totals: Totals
    in_flight: int = 0
    children: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    waiting: int = 0
    recent: list[int] = field(default_factory=list)
    ended: int = 0
    partition: int | None = None
    searching: bool = False
