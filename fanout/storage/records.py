"""What an output holds beside its rows: the marker, commits, roll-ups and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field

from fanout.models import Json, RunResult, Source, Totals


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
        previous: URL of the output that this run continues, if any.
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


@dataclass(frozen=True)
class DataObject:
    """One object of rows that a commit names: `rows` lines of JSON, in index order."""

    path: str
    rows: int
    size: int


@dataclass(frozen=True)
class Commit:
    """The one durable record that a batch is finished (see the protocol).

    Attributes:
        nonce: The run's nonce.
        key: Names the immutable range of items, unique in the run: `000012/00000034`.
        token: Of the execution that won.
        start: First item of the range.
        count: Items of the range.
        more: Ranges `[start, count]` of it that remain, in order; the rest has outcomes here.
        results: Rows of the items that succeeded; None where there are none.
        failures: Rows of the items that failed; None where there are none.
        succeeded: How many items succeeded.
        failed: How many items failed.
        error_types: Failures by error type.
        seconds: How long the batch ran.
        worker: Identity of the worker.
    """

    nonce: str
    key: str
    token: str
    start: int
    count: int
    more: list[list[int]] = field(default_factory=list)
    results: DataObject | None = None
    failures: DataObject | None = None
    succeeded: int = 0
    failed: int = 0
    error_types: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""


@dataclass(frozen=True)
class Part:
    """A published object: rows in index order, all of `start` to below `end`."""

    path: str
    start: int
    end: int
    rows: int
    size: int


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


@dataclass(frozen=True)
class Manifest:
    """The last object that a run writes: what it was, and what came of it."""

    run: RunRecord
    result: RunResult
    roll_ups: list[str]
    written: str
    fanout: str
