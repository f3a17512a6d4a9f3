"""Running one item of a run in this process, as a batch would, without writing anything to the run."""

from __future__ import annotations

import copy
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from fanout.children import undoing
from fanout.children.book import Book
from fanout.children.context import isolated
from fanout.children.loading import Loader
from fanout.children.window import Window
from fanout.children.windows import open_window
from fanout.compensators import check_ordinary
from fanout.errors import UsageError
from fanout.models import Failure, ItemResult
from fanout.options import Options, from_carried
from fanout.pages import Page
from fanout.processors import Processor
from fanout.readers.paging import next_page
from fanout.readers.registry import from_source
from fanout.storage.files import Files
from fanout.storage.markers import load_run
from fanout.storage.records import RunRecord
from fanout.storage.rests import Items
from fanout.storage.roots import MEMORY, Roots
from fanout.storage.stores import Store, open_store
from fanout.storage.views import chain
from fanout.workers.workbench import Workbench


@dataclass(frozen=True)
class Outcome:
    """What came of an item.

    Attributes:
        row: As a run would record it.
        raised: What the processor raised, or where it was cut off by its timeout; None where it did not raise.
        counters: What it has counted.
    """

    row: ItemResult | Failure
    raised: BaseException | None
    counters: dict[str, float] = field(default_factory=dict)


async def find_record(store: Store, index: int) -> RunRecord:
    """Return the marker of the output that an item belongs to: a run may continue others.

    Args:
        store: The run's output.
        index: The item's.
    """
    found = [await load_run(output, None) for output in reversed(await chain(store))]
    return next((record for record in found if record.source.skip <= index), found[-1])


async def try_item(processor: Processor[..., Any], record: RunRecord, index: int, client: Client) -> Outcome:
    """Read an item again from its source, and run a processor on it once, with the run's parameters and timeout.

    Sources are not indexed anew for nothing: the source is read from its beginning up to the item.

    Args:
        processor: What to run; one for processes runs in a thread here.
        record: The marker of the item's run.
        index: The item's.
        client: What a Temporal activity sees as its client.

    Raises:
        UsageError: The run has no such item, or the processor does not take the run's parameters.
        SourceError: The source cannot be read here.
    """
    if processor.workflow is not None:
        raise UsageError(
            f"processor {processor.name!r} is a workflow: it does not run in this process; its failed workflow is in "
            "Temporal Web, and `temporal workflow reset` runs it again"
        )
    here = copy.copy(processor)
    here.executor = here.executor and "thread"
    params = here.load_params(here.check_params(record.params))
    options = from_carried({**record.options, "retries": 0})
    if record.undone is None:
        check_ordinary(here)
    book = await _read(here, record, options, index, client.identity)
    bench = Workbench({here.name: here}, Roots([]), threads=1, processes=1)
    async with bench.open():
        raised: list[BaseException] = []
        call = _watched(here, bench.bind(here, params), raised)
        await (await _window(here, book, call, bench, client)).run()
    counters = book.tally.collect()
    output = book.outputs[0]
    if output is not None:
        return Outcome(ItemResult(index, book.key_of(0), from_json(output)), None, counters)
    return Outcome(Failure(**from_json(book.failures[0])), raised[0] if raised else None, counters)


async def _read(
    processor: Processor[..., Any], record: RunRecord, options: Options, index: int, worker: str
) -> Book:
    reader = from_source(record.source)
    reader.largest = options.max_item_bytes
    # Readers keep their indexes in the run's output, where nothing is to be written.
    scratch, files = open_store(f"{MEMORY}://{uuid.uuid4().hex}"), Files(None)
    page = await _find_page(files, scratch, record, index)
    loader = Loader(reader, files, scratch)
    items = [Items(index, 1)]
    plan = await loader.plan(items, [page], options.max_batch_bytes)
    return Book(
        run_id=record.run_id,
        processor=processor,
        options=options,
        key=record.source.key,
        items=items,
        parts=await loader.read(plan),
        inline=page.values is not None,
        worker=worker,
        undone=await _undone(processor, record, options, index),
    )


async def _undone(
    processor: Processor[..., Any], record: RunRecord, options: Options, index: int
) -> list[bytes]:
    """Return the output that the item of a compensation had; nothing for a processor that takes none."""
    if processor.undoes is None or record.undone is None:
        return []
    return await undoing.outputs(record.undone, [index], options.max_batch_bytes)


async def _find_page(files: Files, scratch: Store, record: RunRecord, index: int) -> Page:
    source = record.source
    # Nothing behind the item is read.
    last = index + 1 if source.limit is None else min(index + 1, source.skip + source.limit)
    source = replace(source, limit=max(0, last - source.skip))
    cursor, seen, step = None, 0, 0
    while True:
        scan = await next_page(source, files, scratch, step=step, cursor=cursor, seen=seen)
        if scan.page.start <= index < scan.page.end:
            return scan.page
        cursor, seen, step = scan.cursor, scan.page.end, step + 1
        if cursor is None:
            raise UsageError(f"run {record.run_id!r} has no item {index}")


async def _window(
    processor: Processor[..., Any], book: Book, call: Callable[[Any], Any], bench: Workbench, client: Client
) -> Window:
    info = ActivityEnvironment.default_info()
    context = await isolated(info, is_async=processor.is_async, client=client)
    return open_window(
        book,
        call,
        limit=1,
        deadline=math.inf,
        context=context,
        list_size=processor.list_size,
        threads=None if processor.is_async else bench.threads,
    )


def _watched(
    processor: Processor[..., Any], call: Callable[[Any], Any], raised: list[BaseException]
) -> Callable[[Any], Any]:
    """Return the function as one that keeps what it raises: the book keeps but its text."""

    async def awaited(item: Any) -> Any:
        try:
            return await call(item)
        except BaseException as error:
            raised.append(error)
            raise

    def called(item: Any) -> Any:
        try:
            return call(item)
        except BaseException as error:
            raised.append(error)
            raise

    return awaited if processor.is_async else called
