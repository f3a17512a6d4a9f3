"""What activities are given, and what they return, under the names in `wire`.

Histories keep these shapes for years: add fields with defaults, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from fanout.compensation import Compensator
from fanout.messages import RunInput
from fanout.models import RunResult, Totals
from fanout.pages import Json, Page, RestRef, Scan, Source
from fanout.reduction import Reduction
from fanout.stopping import StopWhen
from fanout.storage.codec import adapter_of


class _Frequent:
    """Comes with every batch. Temporal's converter goes by the annotations anew each time, which takes 0.2 ms."""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Return what its fields say, as they were in JSON; those of newer versions are passed over."""
        made: Self = adapter_of(cls).validate_python(fields)
        return made


@dataclass(frozen=True)
class PrepareInput:
    """What a workflow wants a run to be, before a worker has looked at it; fields as in `RunInput`.

    Attributes:
        run_id: The run's id.
        output: URL or path of the store; None for that of the worker.
        source: As the workflow says it: paths may be relative to the worker's folder.
    """

    run_id: str
    nonce: str
    processor: str
    source: Source
    output: str | None = None
    params: dict[str, Json] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    stop_when: StopWhen | None = None
    compensate: Compensator | None = None
    reduce: Reduction | None = None


@dataclass(frozen=True)
class PlanInput:
    """Ask for the next page of a source.

    Attributes:
        run: What was started.
        run_id: The root's workflow id.
        execution: The root's first execution id.
        cursor: Where the last page ended.
        step: Number of the page.
        seen: Items that the pages so far hold, skipped ones too.
        due: When a schedule's run is due, in seconds since the epoch; 0 for others.
    """

    run: RunInput
    run_id: str
    execution: str
    cursor: dict[str, Json] | None = None
    step: int = 0
    seen: int = 0
    due: float = 0.0


@dataclass(frozen=True)
class PlanOutput:
    """A page of a source, and what the whole run goes by.

    Attributes:
        scan: The page.
        output: URL of the run's output.
        options: The effective options.
        list_size: Items that one call of the processor takes.
        announced: Whether the root tells the server how many items there are, once it knows; histories of earlier
            versions hold nothing of the kind.
    """

    scan: Scan
    output: str
    options: dict[str, Any]
    list_size: int = 1
    announced: bool = False


@dataclass(frozen=True)
class BatchInput(_Frequent):
    """One batch: items under a key; a range, or what other batches handed back.

    Attributes:
        output: URL of the run's output, where the marker says the rest.
        nonce: The run's nonce.
        key: The batch's key.
        start: First item; of items handed back, a bound below them.
        count: How many items.
        pages: Where the reader finds them.
        concurrency: Items in flight at most; 0 runs none, and only seals the key: whatever was committed stands, and
            where nothing was, one checkpoint is made the commit, which says that all else remains.
        rests: The items, where they were handed back; empty for the range.
        last: Whether no item was left for others when it was planned: then nobody needs what it gives up.
        rate: Items that it may begin in a second for each of those in flight; 0 for any number.
    """

    output: str
    nonce: str
    key: str
    start: int
    count: int
    pages: list[Page]
    concurrency: int
    rests: list[RestRef] = field(default_factory=list)
    last: bool = False
    rate: float = 0.0


@dataclass(frozen=True)
class BatchOutput(_Frequent):
    """What the batch's commit says.

    Attributes:
        totals: Of the items that have their outcome in it.
        more: Ranges that remain and may run at once; at most a few.
        seconds: How long the batch ran.
        samples: A handful of failures, as text.
        rests: What else remains.
        key: The commit's.
    """

    totals: Totals
    more: list[list[int]]
    seconds: float
    samples: list[str] = field(default_factory=list)
    rests: list[RestRef] = field(default_factory=list)
    key: str = ""


@dataclass(frozen=True)
class PublishInput:
    """Publish a partition whose batches are all decided.

    Attributes:
        not_run: Ranges that no batch has taken (a canceled run).
        rests: Items that were handed back and not run again.
        keys: The keys that count; see `PartitionState`.
    """

    output: str
    nonce: str
    partition: int
    start: int
    count: int
    not_run: list[list[int]]
    seconds: float
    rests: list[RestRef] = field(default_factory=list)
    keys: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishOutput:
    """What stands published of a partition: of a workflow that was reset, what the first one has published."""

    totals: Totals
    not_run: int


@dataclass(frozen=True)
class FinalizeInput:
    """Check the whole run and write its manifest."""

    output: str
    nonce: str
    result: RunResult


@dataclass(frozen=True)
class CompensateInput:
    """Start the compensation of a run that fails.

    Attributes:
        output: URL of the run's output.
        nonce: The run's nonce.
        compensate: What is to be started.
        environment: Options that the environment of the run's starter said.
    """

    output: str
    nonce: str
    compensate: Compensator
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CountInput:
    """Count what is committed of a run that goes on."""

    output: str
    nonce: str


def make_ready() -> None:
    """Make what reads the frequent ones, before the first batch: it takes 50 ms, and no sandbox is the place for it."""
    for kind in (BatchInput, BatchOutput):
        adapter_of(kind)
