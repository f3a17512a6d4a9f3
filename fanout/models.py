"""What a run says of itself: outcomes of items, numbers, how it ended.

Plain frozen dataclasses of JSON values, so that any Temporal data converter carries them, and so that
a field added later with a default still reads what an older version wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from fanout.errors import RunFailed
from fanout.pages import Json

N = TypeVar("N", int, float)


class Status(StrEnum):
    """What a run is doing, or how it ended."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DRAINING = "DRAINING"
    SUCCEEDED = "SUCCEEDED"
    COMPLETED_WITH_FAILURES = "COMPLETED_WITH_FAILURES"
    FAILED = "FAILED"
    FAILED_TOLERANCE_EXCEEDED = "FAILED_TOLERANCE_EXCEEDED"
    STOPPED = "STOPPED"
    CANCELED = "CANCELED"
    TERMINATED = "TERMINATED"

    @property
    def live(self) -> bool:
        """Whether the run has not ended."""
        return self in (Status.RUNNING, Status.PAUSED, Status.DRAINING)


# ----------------------------------------------------------------------------------------------- items


@dataclass(frozen=True)
class ItemResult:
    """One item that succeeded.

    Attributes:
        index: Position of the item in the source, from 0.
        key: What a person would search for: the field named by `key=`, else the index.
        output: What the processor returned, as JSON.
    """

    index: int
    key: str
    output: Json


@dataclass(frozen=True)
class Failure:
    """One item that failed for good.

    Attributes:
        index: Position of the item in the source, from 0.
        key: What a person would search for.
        source: Where the item stands, such as `urls.csv:18`.
        input: The item as it was read; shortened text where it is large or unreadable.
        error_type: Name of the exception's class, or of the reason.
        message: What went wrong.
        traceback: The processor's part of the traceback; empty for invalid items.
        attempts: How often the processor was called.
        worker: Identity of the worker that gave up.
        version: The processor's version.
        at: When it gave up, in seconds since the epoch; 0 where an older version wrote the row.
    """

    index: int
    key: str
    source: str
    input: Json
    error_type: str
    message: str
    traceback: str = ""
    attempts: int = 0
    worker: str = ""
    version: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class FailureSample:
    """One of the items behind a kind of failure.

    Attributes:
        index: Position of the item in the source, from 0.
        key: What a person would search for.
        source: Where the item stands, such as `urls.csv:18`.
    """

    index: int
    key: str
    source: str


@dataclass(frozen=True)
class FailureKind:
    """Failures of one error type whose messages differ only in numbers, ids, quoted strings and the like.

    Attributes:
        error_type: Name of the exception's class, or of the reason; `"other"` where there were too many kinds.
        message: The message with placeholders such as `<n>`; `"other messages"` where there were too many kinds.
        count: How many failures.
        first: When the first of them was recorded, in seconds since the epoch; None where no row says it.
        last: When the last of them was recorded; likewise.
        samples: The first few items, in the order of the items.
        group: Its short name, by which a rerun takes it up; empty for other messages.
    """

    error_type: str
    message: str
    count: int
    first: float | None
    last: float | None
    samples: list[FailureSample] = field(default_factory=list)
    group: str = ""


# --------------------------------------------------------------------------------------------- numbers


MAX_COUNTERS = 20
"""Counters of a run: they are labels of metrics, and in every commit."""

MATCHES = "fanout.matches"
"""Stands for `Totals.matched` among counters; no counter of a processor's can have that name."""

OTHER = "other"
"""What counts for the names beyond those that are told apart."""


@dataclass(frozen=True)
class Totals:
    """Counts of settled items; they add up.

    Attributes:
        succeeded: Items with a committed result.
        failed: Items with a committed failure.
        error_types: Failures by error type; at most `MAX_ERROR_TYPES` names, the rest under `"other"`.
        batches: Commits.
        result_bytes: Bytes of result rows.
        counters: Sums of what processors have counted; at most `MAX_COUNTERS` names, the rest under `"other"`.
        matched: Items with a committed result whose output is not null.
    """

    MAX_ERROR_TYPES = 20

    succeeded: int = 0
    failed: int = 0
    error_types: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    result_bytes: int = 0
    counters: dict[str, float] = field(default_factory=dict)
    matched: int = 0

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.succeeded + self.failed

    def counted(self, name: str) -> float:
        """Return what a counter has come to; `MATCHES` is one, too."""
        return self.matched if name == MATCHES else self.counters.get(name, 0.0)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            error_types=summed(self.error_types, other.error_types, self.MAX_ERROR_TYPES),
            batches=self.batches + other.batches,
            result_bytes=self.result_bytes + other.result_bytes,
            counters=summed(self.counters, other.counters, MAX_COUNTERS),
            matched=self.matched + other.matched,
        )


@dataclass(frozen=True)
class PartitionTime:
    """How long one partition took."""

    partition: int
    items: int
    seconds: float


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `succeeded` and `failed` count commits only, and never go back.

    Attributes:
        status: What the run is doing.
        total: Items of the run; an estimate until `planned`.
        planned: Whether `total` is exact.
        succeeded: Items with a committed result.
        failed: Items with a committed failure.
        in_flight: Upper bound of the items that run now.
        partitions: Partitions that live now.
        rate: Items per second that got their outcome, over the last minute, or since the run began where that is less.
        eta: Seconds to go at that rate; None where nothing says it, and while the run is paused or drained.
        seconds: Since the run began.
        counters: Sums of what the processor has counted, of the items with an outcome.
        waiting: Items that were handed back, and wait for another attempt.
        ended: Partitions that have ended.
        basis: What `eta` rests on, in words; empty where it is None.
        silent: Partitions and groups that did not answer: they count by their last answer, if the handle had one.
        stale: Whether no worker answers: the numbers are what the store holds, and nothing is known of the rest.
        note: Why they are stale, in words.
        as_of: When the last of what was counted was committed, where the numbers are stale, in seconds since the
            epoch; None where nothing is committed.
        matched: Of a search (`stop_when=FirstSuccess()`), how many results have an output that is not None; None for
            other runs.
    """

    status: Status
    total: int = 0
    planned: bool = False
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    partitions: int = 0
    rate: float = 0.0
    eta: float | None = None
    seconds: float = 0.0
    counters: dict[str, float] = field(default_factory=dict)
    waiting: int = 0
    ended: int = 0
    basis: str = ""
    silent: int = 0
    stale: bool = False
    note: str = ""
    as_of: float | None = None
    matched: int | None = None

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.succeeded + self.failed


@dataclass(frozen=True)
class PartitionProgress:
    """Where one partition of a run stands.

    Attributes:
        partition: Its number.
        ended: Whether it has ended.
        items: Its items.
        succeeded: Those of them with a committed result.
        failed: Those with a committed failure.
        in_flight: Upper bound of those that run now.
        waiting: Those that were handed back, and wait for another attempt.
        rate: Items per second that got their outcome lately.
        seconds: How long it took, once it has ended.
    """

    partition: int
    ended: bool = False
    items: int = 0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    waiting: int = 0
    rate: float = 0.0
    seconds: float | None = None

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.succeeded + self.failed


@dataclass(frozen=True)
class RunEvent:
    """An order to a run, and what it has done.

    Attributes:
        id: Of the order.
        kind: `"pause"`, `"resume"`, `"update"`, `"drain"`, `"cancel"` or `"terminate"`.
        at: When it was given, in seconds since the epoch.
        who: Gave it.
        reason: Why.
        effect: What it has done, or why it made no sense; empty until the run has taken it.
        refused: Whether it made no sense, and changed nothing.
        taken: Whether the run has taken it: the server keeps it until a worker is there.
    """

    id: str
    kind: str
    at: float
    who: str
    reason: str
    effect: str
    refused: bool = False
    taken: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        run_id: The run's id.
        status: How it ended.
        items: Items of the run.
        succeeded: Items with a result.
        failed: Items with a failure record.
        not_run: Items that were never reached (a run that was canceled or drained).
        error_types: Failures by error type.
        partitions: How many partitions the run had.
        slowest: The partitions that took longest, the longest first.
        seconds: From start to end.
        output: URL of the folder with results, failures and the manifest.
        counters: Sums of what the processor has counted, of the items with an outcome.
        reason: Why it ended early, where neither a person nor an error ended it.
        rerun: Of a rerun, what it has taken up again, in words; then all numbers are of these items.
        matched: Of a search (`stop_when=FirstSuccess()`), how many results have an output that is not None; None for
            other runs.
        reduced: What its reducer has made of all that `Run.results` yields, as JSON; None where it has no reducer, and
            where the value is large and its output cannot be read from here.
        reduced_url: Where the value lies; empty where there is none.
    """

    run_id: str
    status: Status
    items: int
    succeeded: int
    failed: int
    not_run: int = 0
    error_types: dict[str, int] = field(default_factory=dict)
    partitions: int = 0
    slowest: list[PartitionTime] = field(default_factory=list)
    seconds: float = 0.0
    output: str = ""
    counters: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    rerun: str = ""
    matched: int | None = None
    reduced: Json = None
    reduced_url: str = ""

    @property
    def found(self) -> bool:
        """Whether the run is a search that has ended early because it has found enough."""
        return self.status is Status.STOPPED and self.matched is not None and bool(self.reason)

    def raise_for_failures(self) -> RunResult:
        """Return the result itself when every item succeeded; of a search that has found enough, every one it ran.

        Raises:
            RunFailed: An item failed or was not run.
        """
        if self.failed or (self.not_run and not self.found):
            reasons = ", ".join(f"{n:,} {name}" for name, n in self.error_types.items())
            raise RunFailed(
                f"{self.failed:,} of {self.items:,} items of {self.run_id!r} failed"
                + (f" ({reasons})" if reasons else "")
                + (f", {self.not_run:,} were not run" if self.not_run else "")
                + f"; see `fanout failures {self.run_id}`",
                status=self.status,
                result=self,
            )
        return self


def summed(first: Mapping[str, N], second: Mapping[str, N], most: int) -> dict[str, N]:
    """Add up by name; names beyond so many count as `"other"`."""
    sums = dict(first)
    for name, value in second.items():
        slot = name if name in sums or len(sums) < most else OTHER
        sums[slot] = sums[slot] + value if slot in sums else value
    return sums


def plain(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts sorted from the largest, for people and for JSON."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
