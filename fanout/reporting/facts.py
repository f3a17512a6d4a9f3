"""What a report says of a run, gathered from its output and, as far as it still knows the run, from the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from fanout.errors import NoWorker, RunNotFound
from fanout.failurekinds import FailureKinds
from fanout.models import FailureKind, Progress, RunEvent, RunResult, Totals
from fanout.runs.info import RunInfo
from fanout.storage import past, reading
from fanout.storage.markers import load_run
from fanout.storage.past import PastPartition
from fanout.storage.records import Effort, Manifest, RunRecord, Slice
from fanout.storage.reductions import with_reduced
from fanout.storage.stores import Store, open_store


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    Attributes:
        record: What the run is.
        status: What it is doing, or how it ended; None where nobody knows.
        live: Whether it goes on.
        began: In seconds since the epoch.
        until: When it ended; of one that goes on, when it was looked at.
        items: How many items it has; None where nobody knows.
        totals: Of the items with an outcome.
        not_run: Items that were never reached, where it has ended.
        effort: What it took.
        partitions: What became of each partition, by number.
        kinds: Its failures, the most frequent kind first.
        events: The orders that it was given.
        in_flight: Items that may run now, where a worker says it.
        result: What it came to; None of one that goes on.
        output: URL of its output.
        forgotten: Whether the server knows it no more.
        web_url: Its address in Temporal Web, where that is known.
    """

    record: RunRecord
    status: str | None
    live: bool
    began: float
    until: float
    items: int | None
    totals: Totals
    not_run: int
    effort: Effort
    partitions: Sequence[PastPartition] = ()
    kinds: Sequence[FailureKind] = ()
    events: Sequence[RunEvent] = ()
    in_flight: int | None = None
    result: RunResult | None = None
    output: str = ""
    forgotten: bool = False
    web_url: str | None = None

    @property
    def slices(self) -> list[Slice]:
        """What was done when."""
        return [one for partition in self.partitions for one in partition.slices]

    @property
    def seconds(self) -> float:
        """How long it took, or takes by now."""
        return max(0.0, self.until - self.began)


class Known(Protocol):
    """A run, as far as a report asks of it."""

    @property
    def web_url(self) -> str | None:
        """Its address in Temporal Web."""

    async def info(self) -> RunInfo:
        """Return what the server knows of it."""

    async def progress(self) -> Progress:
        """Return where it stands."""

    async def events(self) -> list[RunEvent]:
        """Return the orders that it was given."""

    async def output(self) -> str:
        """Return the URL of its output."""


@dataclass(frozen=True)
class _Told:
    """What the server, and workers, say of a run."""

    info: RunInfo | None = None
    progress: Progress | None = None
    events: list[RunEvent] = field(default_factory=list)


async def gather(run: Known) -> Facts:
    """Return what is known of a run: while it goes on, and once the server has forgotten it.

    Raises:
        RunNotFound: Neither the server nor the client's store knows the run.
        StoreError: It has no output yet, or that is damaged.
        NoServer: The server does not answer.
    """
    told = await _ask(run)
    output = await run.output()
    store = open_store(output)
    record = await load_run(store, None)
    # In this order: what is published meanwhile is in both, and what a manifest says is the whole.
    partitions = await past.read(store)
    # To look for rows takes reading every commit once more.
    kinds = await _kinds(store) if any(one.totals.failed for one in partitions) else []
    manifest = await reading.load_manifest(store)
    if manifest is not None:
        if not all(partition.ended for partition in partitions):
            partitions = await past.read(store)
        manifest = replace(manifest, result=await with_reduced(manifest.result))
    return _facts(record, output, told, partitions, kinds, manifest, run.web_url)


async def _ask(run: Known) -> _Told:
    try:
        info = await run.info()
    except RunNotFound:
        return _Told()
    progress = None
    if info.closed is None:
        try:
            progress = await run.progress()
        except NoWorker:
            progress = None
    return _Told(info, progress, await run.events())


async def _kinds(store: Store) -> list[FailureKind]:
    kinds = FailureKinds()
    async for rows in reading.own_chunks(store, "failures"):
        for row in rows:
            kinds.add_row(row)
    return kinds.most_common()


def _facts(
    record: RunRecord,
    output: str,
    told: _Told,
    partitions: Sequence[PastPartition],
    kinds: Sequence[FailureKind],
    manifest: Manifest | None,
    web_url: str | None,
) -> Facts:
    info, result = told.info, None if manifest is None else manifest.result
    live = info is not None and info.closed is None
    totals = sum((partition.totals for partition in partitions), Totals())
    began, until = _times([one for partition in partitions for one in partition.slices], info, manifest)
    items = None
    if result is not None:
        items = result.items
    elif told.progress is not None and told.progress.planned:
        items = told.progress.total
    return Facts(
        record=record,
        status=_status(info, manifest),
        live=live,
        began=began,
        until=until,
        items=items,
        totals=totals,
        not_run=0 if result is None else result.not_run,
        effort=sum((partition.effort for partition in partitions), Effort()),
        partitions=partitions,
        kinds=kinds,
        events=told.events,
        in_flight=None if told.progress is None or told.progress.stale else told.progress.in_flight,
        result=result,
        output=output,
        forgotten=info is None,
        web_url=web_url if info is not None else None,
    )


def _status(info: RunInfo | None, manifest: Manifest | None) -> str | None:
    if info is not None:
        return info.status.value
    return None if manifest is None else str(manifest.result.status)


def _times(slices: Sequence[Slice], info: RunInfo | None, manifest: Manifest | None) -> tuple[float, float]:
    """Return when the run began and ended, by whoever knows it best."""
    begins, ends = [one.begin for one in slices], [one.end for one in slices]
    if info is not None:
        closed = info.closed.timestamp() if info.closed is not None else time.time()
        return min([info.started.timestamp(), *begins]), max([closed, *ends])
    if manifest is not None:
        written = datetime.fromisoformat(manifest.written).timestamp()
        return min([written - manifest.result.seconds, *begins]), max([written, *ends])
    now = time.time()
    return min(begins, default=now), max(ends, default=now)
