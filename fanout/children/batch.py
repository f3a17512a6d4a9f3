"""The batch activity: runs a range of items and commits what came of them, by the commit protocol."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from temporalio import activity
from temporalio.testing import ActivityEnvironment

from fanout.boundary import failing
from fanout.children.async_window import AsyncWindow
from fanout.children.book import Book
from fanout.children.thread_window import ThreadWindow
from fanout.children.window import Window
from fanout.errors import StoreError
from fanout.models import Totals
from fanout.options import Options
from fanout.processors import Processor, find
from fanout.readers.registry import from_source
from fanout.storage import commits, layout
from fanout.storage.markers import load_run
from fanout.storage.records import Commit, DataObject, RunRecord
from fanout.storage.stores import Store, open_store
from fanout.wire import BatchInput, BatchOutput, batch_activity
from fanout.workbench import Workbench

HEARTBEAT_SECONDS = 1.0


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
        async def run(batch: BatchInput) -> BatchOutput:
            return await self.run(batch)

        return run

    async def run(self, batch: BatchInput) -> BatchOutput:
        """Run the batch, or return what an earlier execution committed.

        Raises:
            ApplicationError: The source cannot be read or the store cannot be trusted; not retried.
        """
        store = open_store(self._bench.roots.check(batch.output))
        record = await load_run(store, batch.nonce)
        committed = await commits.find(store, batch.nonce, batch.key, expected=(batch.start, batch.count))
        if committed is not None:
            return _output(committed, [])
        if not batch.concurrency:
            return _output(await _seal(store, batch), [])
        processor = find(self._name, self._bench.processors)
        options = Options(**record.options)
        began = time.monotonic()
        book = await self._open_book(batch, record, processor, options, store)
        context = await _isolated_context(processor.is_async)
        await _run_window(self._window(book, processor, record, batch.concurrency, context))
        commit = await _commit(store, batch, book, time.monotonic() - began)
        return _output(commit, book.samples)

    async def _open_book(
        self,
        batch: BatchInput,
        record: RunRecord,
        processor: Processor[..., Any],
        options: Options,
        store: Store,
    ) -> Book:
        reader = from_source(record.source)
        reader.largest = options.max_item_bytes
        parts = [
            await reader.read(self._bench.files, store, page, page.start, page.count) for page in batch.pages
        ]
        book = Book(
            run_id=record.run_id,
            processor=processor,
            options=options,
            key=record.source.key,
            start=batch.start,
            parts=parts,
            inline=any(page.values is not None for page in batch.pages),
            worker=activity.client().identity,
        )
        if len(book) != batch.count:
            raise StoreError(f"batch {batch.key} has {batch.count} items, its reader returned {len(book)}")
        return book

    def _window(
        self,
        book: Book,
        processor: Processor[..., Any],
        record: RunRecord,
        concurrency: int,
        context: contextvars.Context,
    ) -> Window:
        # A hand-back is cheap, a batch without an end is not.
        deadline = 2 * book.options.batch_seconds
        call = self._bench.bind(processor, processor.load_params(record.params))
        if processor.executor == "thread":
            return ThreadWindow(
                book,
                call,
                limit=concurrency,
                deadline=deadline,
                context=context,
                pool=self._bench.threads,
                list_size=processor.list_size,
            )
        return AsyncWindow(
            book,
            call,
            limit=concurrency,
            deadline=deadline,
            context=context,
            list_size=processor.list_size,
            gate=self._bench.gate if processor.executor == "process" else None,
        )


async def _isolated_context(is_async: bool) -> contextvars.Context:
    """Return a context in which `activity.info()` works and `activity.heartbeat()` goes nowhere.

    A processor's own heartbeat would replace that of its batch.
    """
    environment = ActivityEnvironment(activity.client())
    environment.info = activity.info()
    if not is_async:
        return environment.run(contextvars.copy_context)

    async def here() -> contextvars.Context:
        return contextvars.copy_context()

    return await environment.run(here)


async def _run_window(window: Window) -> None:
    """Run the window while heartbeating; end it early when the batch is told to."""
    async with _beating(window):
        work = asyncio.ensure_future(window.run())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await window.halt()
            await work
            details = activity.cancellation_details()
            revoked = details is not None and (details.cancel_requested or details.worker_shutdown)
            if not revoked:
                # The server has given the batch to somebody else.
                raise
            # From here on this is an ordinary batch that ends early: what it has is committed.
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()


@contextlib.asynccontextmanager
async def _beating(window: Window) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            # A batch that is shorter pays for none.
            await asyncio.sleep(min(HEARTBEAT_SECONDS, window.book.options.heartbeat_timeout / 4))
            activity.heartbeat({"in_flight": window.in_flight})

    async def hand_back() -> None:
        await activity.wait_for_worker_shutdown()
        window.stop()

    tasks = [asyncio.create_task(beat()), asyncio.create_task(hand_back())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _commit(store: Store, batch: BatchInput, book: Book, seconds: float) -> Commit:
    """Write the rows, then the commit that names them; return the commit that counts."""
    token = uuid.uuid4().hex
    results, failures = await asyncio.gather(
        _write(store, layout.data_path("results", batch.key, token), book.result_rows()),
        _write(store, layout.data_path("failures", batch.key, token), book.failure_rows()),
    )
    totals = book.totals(results.size if results else 0)
    commit, won = await commits.create(
        store,
        Commit(
            nonce=batch.nonce,
            key=batch.key,
            token=token,
            start=batch.start,
            count=batch.count,
            more=book.more(),
            results=results,
            failures=failures,
            succeeded=totals.succeeded,
            failed=totals.failed,
            error_types=totals.error_types,
            seconds=round(seconds, 6),
            worker=book.worker,
        ),
    )
    if not won:
        await commits.discard(store, [results, failures], commit)
    return commit


async def _seal(store: Store, batch: BatchInput) -> Commit:
    """Decide the key of a batch that was cut off, unless one of its executions has: all of it remains."""
    sealed = Commit(
        nonce=batch.nonce,
        key=batch.key,
        token=uuid.uuid4().hex,
        start=batch.start,
        count=batch.count,
        more=[[batch.start, batch.count]],
    )
    return (await commits.create(store, sealed))[0]


async def _write(store: Store, path: str, rows: Sequence[bytes]) -> DataObject | None:
    if not rows:
        return None
    data = b"".join(rows)
    # Its name is this execution's alone: that it exists is the answer to a retried request.
    await store.create_own(path, data)
    return DataObject(path=path, rows=len(rows), size=len(data))


def _output(commit: Commit, samples: list[str]) -> BatchOutput:
    return BatchOutput(
        totals=Totals(
            succeeded=commit.succeeded,
            failed=commit.failed,
            error_types=commit.error_types,
            batches=1,
            result_bytes=commit.results.size if commit.results else 0,
        ),
        more=commit.more,
        seconds=commit.seconds,
        samples=samples,
    )
