"""The batch activity: runs the items of one key and commits what came of them, by the commit protocol."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from structlog.contextvars import bound_contextvars
from temporalio import activity
from temporalio.runtime import Runtime

from fanout import stopping, topology
from fanout.boundary import failing
from fanout.children import undoing
from fanout.children.book import HOLD_SECONDS, Book
from fanout.children.context import isolated
from fanout.children.execution import Execution, Waiting, output
from fanout.children.fitness import check_deaths, check_version
from fanout.children.gate import Gate
from fanout.children.item_workflows import ItemWorkflows
from fanout.children.life import Life, Superseded
from fanout.children.loading import Loader, Plan, divide
from fanout.children.quarantine import QuarantineWindow
from fanout.children.running import run_window, to_the_end
from fanout.children.window import Window
from fanout.children.windows import open_window
from fanout.errors import StoreError
from fanout.inputs import BatchInput, BatchOutput
from fanout.observability.logs import get_logger
from fanout.observability.metrics import BatchMetrics
from fanout.options import Options, from_carried
from fanout.processors import Processor, find
from fanout.readers.registry import from_source
from fanout.storage import commits, rests, selections
from fanout.storage.layout import commit_path, partition_of
from fanout.storage.markers import load_run
from fanout.storage.records import Commit, Effort, RunRecord
from fanout.storage.rests import Items
from fanout.storage.stores import Store, open_store
from fanout.wire import batch_activity, control_queue
from fanout.workers.workbench import Workbench

_log = get_logger("fanout.batch")


@dataclass(frozen=True)
class _Job:
    """What one execution of a batch goes by."""

    batch: BatchInput
    record: RunRecord
    options: Options
    processor: Processor[..., Any]
    store: Store
    execution: Execution
    life: Life
    metrics: BatchMetrics
    gate: Gate | None = None

    @property
    def limit(self) -> int:
        """Items in flight at most: what earlier attempts gave up others have."""
        return max(1, self.batch.concurrency - self.life.given_up)

    @property
    def quarantined(self) -> bool:
        """Whether items run in disposable processes; those that are workflows run wherever Temporal lets them."""
        return self.life.account.suspect and self.processor.workflow is None


class BatchActivity:
    """Runs the batches of one processor in one worker process.

    Args:
        bench: What the batches of this process share.
        name: The processor's name.
    """

    def __init__(self, bench: Workbench, name: str) -> None:
        self._bench = bench
        self._name = name

    def activity(self) -> Callable[..., Awaitable[BatchOutput]]:
        """Return the function to register: its type is the processor's own."""

        @activity.defn(name=batch_activity(self._name))
        @failing
        async def run(batch: dict[str, Any]) -> BatchOutput:
            return await self.run(BatchInput.of(batch))

        return run

    async def run(self, batch: BatchInput) -> BatchOutput:
        """Run the batch, or return what an earlier execution committed.

        Raises:
            ApplicationError: The source cannot be read or the store cannot be trusted; not retried.
        """
        life = Life(Waiting(), batch.key)
        try:
            return await self._run(batch, life)
        except (asyncio.CancelledError, Superseded):
            raise
        except Exception:
            await life.end_by_itself()
            raise

    async def _run(self, batch: BatchInput, life: Life) -> BatchOutput:
        store = open_store(self._bench.roots.check_output(batch.output))
        record = await load_run(store, batch.nonce)
        partition = partition_of(commit_path(batch.key))
        with bound_contextvars(run=record.run_id, partition=partition, batch=batch.key):
            return await self._commit_of(batch, record, store, life)

    async def _commit_of(self, batch: BatchInput, record: RunRecord, store: Store, life: Life) -> BatchOutput:
        items = await _items_of(batch, store)
        committed = await commits.find(store, batch.nonce, batch.key, expected=rests.ranges(items))
        if committed is not None:
            return output(committed, [])
        processor = find(self._name, self._bench.processors)
        # A seal adds nothing, and any worker can do it.
        folds = self._bench.folds(record) if batch.concurrency else None
        execution = Execution(
            store,
            batch,
            items,
            worker=activity.client().identity,
            version=processor.version,
            waiting=life.waiting,
            fold=folds and folds(),
        )
        metrics = self._metrics()
        if not batch.concurrency:
            sealed = await execution.seal()
            _record_commit(metrics, execution, sealed)
            return output(sealed, [])
        check_version(processor, record)
        left = await execution.resume() if activity.info().attempt > 1 else items
        await life.begin(execution.settled)
        check_deaths(life.account, record)
        if life.after_death:
            metrics.begun_again(life.repeated)
            _log.warning(
                "batch begins again: its worker died",
                items_begun=life.repeated,
                attempt=activity.info().attempt,
            )
        options = from_carried(record.options)
        job = _Job(batch, record, options, processor, store, execution, life, metrics)
        # From here on it counts, also what others of the run do while it reads.
        with self._gate(job) as gate:
            return await self._run_items(replace(job, gate=gate), left)

    async def _run_items(self, job: _Job, left: Sequence[Items]) -> BatchOutput:
        until = time.time() + HOLD_SECONDS
        now = [one for one in left if one.due <= until]
        later = [one for one in left if one.due > until]
        reader = from_source(job.record.source)
        reader.largest = job.options.max_item_bytes
        loader = Loader(reader, self._bench.files, job.store, await selections.of(job.store))
        most = job.options.max_batch_bytes
        heartbeat = job.options.heartbeat_timeout
        async with job.life.beating(heartbeat):
            await self._bench.searches.turn(job.batch.nonce, stopping.wanted(job.record.stop_when))
            plan = await loader.plan(now, job.batch.pages, most)
            async with self._bench.budget.reading(plan.size + undoing.size(job.record, job.processor, plan)):
                plan, undone = await self._undone(job, loader, plan, most)
                aside = [*later, *plan.left]
                book = self._book(job, plan, await loader.read(plan), undone)
                window = self._window(job, book, await _context(job.processor))
                # Not the job: it knows the execution, and the cycle would keep the items in memory.
                life = job.life
                job.execution.measure = lambda: _effort(window, book, life)
                with (
                    self._bench.budget.holding(window, most),
                    self._bench.watchdog.watching(heartbeat),
                    self._searching(job, book, window),
                ):
                    with job.metrics.watching(window):
                        await run_window(window, job.execution, job.life, aside, last=job.batch.last)
                    commit = await to_the_end(_decide(job, book, aside), job.life)
        job.metrics.ended(seconds=job.execution.seconds, retries=book.retries, durations=window.durations)
        _record_commit(job.metrics, job.execution, commit)
        _log.debug(
            "batch committed",
            succeeded=commit.succeeded,
            failed=commit.failed,
            handed_back=commit.count - commit.succeeded - commit.failed,
            seconds=round(job.execution.seconds, 3),
        )
        return output(commit, book.samples)

    async def _undone(self, job: _Job, loader: Loader, plan: Plan, most: int) -> tuple[Plan, list[bytes]]:
        """Return the outputs that a compensation undoes, and the plan for as many of its items as those are of."""
        if job.processor.undoes is None or job.record.undone is None:
            return plan, []
        found = await undoing.outputs(job.record.undone, plan.indexes, most, self._bench.roots.check)
        fitting, left = divide(plan.items, len(found))
        if left:
            again = await loader.plan(fitting, job.batch.pages, most)
            plan = replace(again, left=[*again.left, *left, *plan.left])
        return plan, found

    def _metrics(self) -> BatchMetrics:
        meter = (activity.client().service_client.config.runtime or Runtime.default()).metric_meter
        queue = activity.info().task_queue.removesuffix(control_queue(""))
        return self._bench.metrics.of(meter, self._name, queue)

    def _book(self, job: _Job, plan: Plan, parts: Sequence[Any], undone: Sequence[bytes]) -> Book:
        book = Book(
            run_id=job.record.run_id,
            processor=job.processor,
            options=job.options,
            key=job.record.source.key,
            items=plan.items,
            indexes=plan.indexes,
            parts=parts,
            inline=any(stretch.page.values is not None for stretch in plan.stretches),
            reduces=job.record.reduce is not None,
            worker=activity.client().identity,
            undone=undone,
        )
        if len(book) != len(book.indexes):
            raise StoreError(
                f"batch {job.batch.key} has {len(book.indexes)} items, its reader returned {len(book)}"
            )
        return book

    def _gate(self, job: _Job) -> contextlib.AbstractContextManager[Gate | None]:
        rate = job.batch.rate
        if not rate or job.quarantined:
            # Of one in quarantine each cell has its part.
            return contextlib.nullcontext()
        least = job.processor.list_size or 1
        return self._bench.gates.opened(job.batch.nonce, rate, job.limit, least=least)

    def _searching(self, job: _Job, book: Book, window: Window) -> contextlib.AbstractContextManager[None]:
        wanted = stopping.wanted(job.record.stop_when)
        return self._bench.searches.joined(job.batch.nonce, wanted, book, window)

    def _window(self, job: _Job, book: Book, context: contextvars.Context) -> Window:
        processor = job.processor
        if job.quarantined:
            _log.warning(
                "batch in quarantine: it has killed its workers",
                deaths=job.life.account.all_deaths,
            )
            # Handed back, the rest would kill two more.
            return QuarantineWindow(
                book,
                job.record.params,
                limit=job.limit,
                deadline=math.inf,
                rate=job.batch.rate * job.limit,
            )
        return open_window(
            book,
            self._call(job),
            limit=job.limit,
            deadline=topology.OVERTIME * job.options.batch_seconds,
            context=context,
            list_size=processor.list_size,
            threads=self._bench.threads if processor.executor == "thread" else None,
            gate=job.gate,
            gate_in_call=processor.executor == "process",
        )

    def _call(self, job: _Job) -> Callable[[Any], Any]:
        """Return what runs an item."""
        processor, params = job.processor, job.record.params
        if processor.workflow is not None:
            return ItemWorkflows(processor, params, job.batch.nonce).run
        return self._bench.bind(processor, processor.load_params(params), job.gate)


async def _decide(job: _Job, book: Book, aside: Sequence[Items]) -> Commit:
    """Commit, and owe nothing: whoever has the batch's share of a rate limit next may use it at once."""
    commit = await job.execution.commit(book, aside)
    if job.gate is not None:
        await job.gate.closed(lambda: job.life.waiting.hurry)
    return commit


def _record_commit(metrics: BatchMetrics, execution: Execution, commit: Commit) -> None:
    if execution.won:
        metrics.committed(
            seconds=execution.commit_seconds,
            succeeded=commit.succeeded,
            failed=commit.failed,
            counters=commit.counters,
        )


def _effort(window: Window, book: Book, life: Life) -> Effort:
    return replace(window.effort(), retries=book.retries, repeated=life.repeated)


async def _items_of(batch: BatchInput, store: Store) -> list[Items]:
    if batch.rests:
        return await rests.resolve(store, batch.nonce, batch.rests)
    return [Items(batch.start, batch.count)]


async def _context(processor: Processor[..., Any]) -> contextvars.Context:
    return await isolated(activity.info(), is_async=processor.is_async, client=activity.client())
