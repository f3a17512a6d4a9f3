"""What an output holds beside its rows: the marker, commits, roll-ups and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator

from fanout import durations
from fanout.compensation import Undone
from fanout.models import RunResult, Totals
from fanout.pages import Json, Page, RestRef, Source
from fanout.reduction import Reduction
from fanout.selection import Selection
from fanout.stopping import StopWhen


@dataclass(frozen=True)
class RunRecord:
    """What the `_RUN` marker of an output holds: whose output it is, and all that its batches share.

    Attributes:
        nonce: A fresh value drawn by `start`; every commit carries it.
        run_id: The run's id.
        execution: First execution id of the root workflow.
        processor: Registered name of the processor.
        version: Its version when the run was planned.
        source: Where the items come from.
        params: The run's parameters.
        options: The effective options, every field said.
        previous: URL of the output that this run continues, or takes items of up again, if any.
        rerun: Which items it takes up again, or undoes; None where it runs items of its own.
        settings: Options as the caller said them; None where an older version wrote the marker.
        environment: Options that the caller's environment said; likewise.
        undone: What it undoes, where it is a compensation.
        compensator: Registered name of the processor that undoes it, where the caller said one.
        stop_when: What ends the run early.
        reduce: What makes one value of all that its processor returns; None where nothing does.
    """

    nonce: str
    run_id: str
    execution: str
    processor: str
    version: str
    source: Source
    params: dict[str, Json] = field(default_factory=dict)
    options: dict[str, Json] = field(default_factory=dict)
    previous: str | None = None
    rerun: Selection | None = None
    settings: dict[str, Json] | None = None
    environment: dict[str, Json] | None = None
    undone: Undone | None = None
    compensator: str | None = None
    stop_when: StopWhen | None = None
    reduce: Reduction | None = None


@dataclass(frozen=True)
class Compensated:
    """Who undoes what succeeded in a run: in the run's output, created only if absent.

    Attributes:
        nonce: Of the compensation.
        run_id: Its id.
        output: URL of its output.
    """

    nonce: str
    run_id: str
    output: str


@dataclass(frozen=True)
class DataObject:
    """One object that a commit names: of `rows` lines of JSON in index order, or a value made of so many.

    Attributes:
        path: Where it lies.
        rows: How many lines.
        size: How many bytes.
        first: A lower bound of the index of its first row.
    """

    path: str
    rows: int
    size: int
    first: int = 0


@dataclass(frozen=True)
class Rest:
    """Items that a batch hands back and that only its commit lists: they are scattered, or wait for a retry.

    Attributes:
        runs: `[start, count, attempts]` in index order: so many items from `start` on that have failed so often.
        due: When the last of them may run again, in seconds since the epoch; 0 for at once.
    """

    runs: list[list[int]]
    due: float = 0.0


def _several(value: Any) -> Any:
    """Read the single object, or none, that commits named before there were checkpoints."""
    if value is None:
        return []
    return [value] if isinstance(value, dict) else value


@dataclass(frozen=True)
class Effort:
    """What it took to bring items to their outcomes; it adds up.

    Attributes:
        attempts: `[class, attempts]` by duration; see `durations`. None of those in quarantine.
        busy: Item-seconds in flight.
        offered: Item-seconds that could have been in flight.
        retries: Failed attempts that another one follows.
        repeated: Items that were begun by a worker that died, and run again.
    """

    attempts: list[list[int]] = field(default_factory=list)
    busy: float = 0.0
    offered: float = 0.0
    retries: int = 0
    repeated: int = 0

    def __add__(self, other: Effort) -> Effort:
        return Effort(
            attempts=durations.merged([self.attempts, other.attempts]),
            busy=round(self.busy + other.busy, 6),
            offered=round(self.offered + other.offered, 6),
            retries=self.retries + other.retries,
            repeated=self.repeated + other.repeated,
        )


@dataclass(frozen=True)
class Slice:
    """What was done in some time; slices may overlap, and add up.

    Attributes:
        begin: Seconds since the epoch.
        end: Likewise.
        succeeded: Items that succeeded.
        failed: Items that failed.
        busy: Item-seconds in flight.
        offered: Item-seconds that could have been in flight.
    """

    begin: float
    end: float
    succeeded: int = 0
    failed: int = 0
    busy: float = 0.0
    offered: float = 0.0

    def __add__(self, other: Slice) -> Slice:
        return Slice(
            begin=min(self.begin, other.begin),
            end=max(self.end, other.end),
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            busy=round(self.busy + other.busy, 3),
            offered=round(self.offered + other.offered, 3),
        )


DataObjects = Annotated[list[DataObject], BeforeValidator(_several)]


@dataclass(frozen=True)
class Commit:
    """The one durable record that a batch is finished; or a checkpoint: the same record, that decides nothing yet.

    Attributes:
        nonce: The run's nonce.
        key: Names an immutable set of items, unique in the run: `000012/00000034-1a2b3c4d`.
        token: Of the execution that wrote it.
        start: First item of the set.
        count: Items of the set.
        items: The set as ranges `[start, count]`, in order; empty where it is the one range from `start` on.
        more: Ranges `[start, count]` of it that remain and may run at once, in order.
        rests: Further sets of items that remain. What neither these nor `more` hold has its outcome here.
        results: Rows of the items that succeeded.
        failures: Rows of the items that failed.
        succeeded: How many items succeeded.
        failed: How many items failed.
        error_types: Failures by error type.
        seconds: How long the batch ran.
        worker: Identity of the worker.
        version: The processor's version.
        written: When it was written, in seconds since the epoch.
        counters: Sums of what was counted by the items that have their outcome here.
        effort: What it took.
        matched: Items whose output is not null.
        reduced: The value of the run's reducer for the items that have succeeded here; `rows` says how many.
    """

    nonce: str
    key: str
    token: str
    start: int
    count: int
    items: list[list[int]] = field(default_factory=list)
    more: list[list[int]] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    results: DataObjects = field(default_factory=list)
    failures: DataObjects = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    error_types: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""
    version: str = ""
    written: float = 0.0
    counters: dict[str, float] = field(default_factory=dict)
    effort: Effort = field(default_factory=Effort)
    matched: int = 0
    reduced: DataObject | None = None

    @property
    def totals(self) -> Totals:
        """What it adds to the totals."""
        return Totals(
            succeeded=self.succeeded,
            failed=self.failed,
            error_types=self.error_types,
            batches=1,
            result_bytes=sum(data.size for data in self.results),
            counters=self.counters,
            matched=self.matched,
        )


@dataclass(frozen=True)
class Part:
    """A published object: rows in index order, all of `start` to below `end`."""

    path: str
    start: int
    end: int
    rows: int
    size: int


@dataclass(frozen=True)
class Publication:
    """What counts of a partition that has ended; decided before the first of its parts is written.

    Attributes:
        partition: Number of the partition.
        start: First item.
        count: Items of the partition.
        not_run: Ranges `[start, count]` that have no outcome and never will.
        rests: Further such items, by the commits that handed them back.
        keys: The keys that count, by planner; empty for all.
    """

    nonce: str
    partition: int
    start: int
    count: int
    not_run: list[list[int]] = field(default_factory=list)
    rests: list[RestRef] = field(default_factory=list)
    keys: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RollUp:
    """All commits of one partition in one object.

    Attributes:
        partition: Number of the partition.
        start: First item.
        count: Items of the partition.
        not_run: Ranges `[start, count]` without an outcome (a canceled run).
        totals: Sums over the commits.
        results: Published parts of results, in index order.
        failures: Published parts of failures, in index order.
        seconds: How long the partition took.
        effort: What it took, all commits together.
        timeline: What was done when; none where an older version wrote it.
        reduced: The value of the run's reducer for the items that have succeeded, all commits merged.
    """

    nonce: str
    partition: int
    start: int
    count: int
    not_run: list[list[int]]
    totals: Totals
    results: list[Part]
    failures: list[Part]
    seconds: float = 0.0
    effort: Effort = field(default_factory=Effort)
    timeline: list[Slice] = field(default_factory=list)
    reduced: DataObject | None = None


@dataclass(frozen=True)
class Closed:
    """What counts of an output whose run has ended without a manifest, once another run goes on from there.

    Attributes:
        roll_ups: Where the roll-ups lie that count.
        commits: Where the commits lie that count of partitions without.
    """

    roll_ups: list[str]
    commits: list[str]


@dataclass(frozen=True)
class Chosen:
    """Some of the items that a rerun has selected: those at consecutive positions among all of them.

    Commits and roll-ups of a rerun count its items by these positions; its rows have the items' own indexes.

    Attributes:
        start: Position of the first one.
        runs: `[index, count]` of consecutive items, in order.
        page: The part of the source's page that holds them.
    """

    start: int
    runs: list[list[int]]
    page: Page


@dataclass(frozen=True)
class ChosenAll:
    """What is known once a rerun has selected all its items.

    Attributes:
        items: How many.
        end: Index after the last item that the source has for the run.
    """

    items: int
    end: int


@dataclass(frozen=True)
class Manifest:
    """The last object that a run writes: what it was, and what came of it."""

    run: RunRecord
    result: RunResult
    roll_ups: list[str]
    written: str
    fanout: str
