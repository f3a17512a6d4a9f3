"""The inside of a cell: a process that runs items which may kill it.

It says what has become of them as it goes, and marks in a ledger what it runs at the moment. Whatever it does not
live to say, its parent reads there.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from temporalio import activity

from fanout.children.address import Address
from fanout.children.book import Book
from fanout.children.cellbook import CellBook, News
from fanout.children.context import isolated
from fanout.children.gate import Gate
from fanout.children.ledger import Ledger
from fanout.children.window import SlotWindow, current_slot
from fanout.children.windows import open_window
from fanout.errors import Unisolable
from fanout.options import Options
from fanout.processors import Processor
from fanout.workers.threads import Threads
from fanout.workers.watchdog import Watchdog

FLUSH_SECONDS = 0.1
"""How much a death makes others repeat."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Order:
    """What a cell is told to run.

    Attributes:
        run_id: The run's id.
        options: The run's options.
        params: Parameters of the run, as JSON.
        key: The field that names an item, if any.
        indexes: The index of each item.
        values: What was read.
        json: Whether the values are JSON text.
        attempts: How often an item failed, by its position.
        worker: Identity of the worker.
        limit: Items in flight at most.
        deadline: Seconds after which no further item is begun.
        activity: What `activity.info()` says, where there is an activity.
        rate: Items that may begin in a second; 0 for any number.
        undone: Of a compensation, the output that each item had, as JSON.
    """

    run_id: str
    options: Options
    params: dict[str, Any]
    key: str | None
    indexes: Sequence[int]
    values: Sequence[Any]
    json: bool
    attempts: dict[int, int]
    worker: str
    limit: int
    deadline: float
    activity: activity.Info | None
    rate: float = 0.0
    undone: Sequence[bytes] = ()


@dataclass(frozen=True)
class Setup:
    """What a cell needs before it can take an order.

    Attributes:
        address: The processor.
        ledger: Where it marks what it runs.
        trace: Where its last words go.
        orphan: Whether the system should kill it when the process that forked it ends.
    """

    address: Address
    ledger: Path
    trace: Path
    orphan: bool


@dataclass(frozen=True)
class Ready:
    """The cell can take its order."""


@dataclass(frozen=True)
class Broken:
    """The cell cannot run anything.

    Attributes:
        reason: Why, for a person.
    """

    reason: str


@dataclass(frozen=True)
class Farewell:
    """All has been said: how the process ends does not matter any more."""


STOP = "stop"


def main(pipe: Connection, setup: Setup) -> None:
    """Run one order, and end the process."""
    if setup.orphan and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Ctrl-C is for the worker, which decides what is to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with setup.trace.open("w") as trace:
        faulthandler.enable(trace, all_threads=False)
        try:
            asyncio.run(_live(pipe, setup, setup.address.load(), trace.fileno()))
        except Unisolable as error:
            pipe.send(Broken(str(error)))
        except BaseException:
            traceback.print_exc(file=trace)
            trace.flush()
            # Threads that hang must not hold it.
            os._exit(1)
        faulthandler.disable()


async def _live(pipe: Connection, setup: Setup, processor: Processor[..., Any], trace: int) -> None:
    async with _resources(processor) as resources:
        pipe.send(Ready())
        order: Order = pipe.recv()
        news = News(Ledger(setup.ledger))
        book = _open_book(order, processor, news)
        call = _bound(processor, resources, processor.load_params(order.params))
        window = await _window(book, order, processor, call, news)
        _listen(pipe, window)
        with Watchdog(enabled=True, file=trace).watching(order.options.heartbeat_timeout):
            work = asyncio.ensure_future(window.run())
            while not work.done():
                await asyncio.wait({work}, timeout=FLUSH_SECONDS)
                with window.guard():
                    message = news.take(book)
                if message:
                    pipe.send(message)
            await work
        pipe.send(Farewell())


@contextlib.asynccontextmanager
async def _resources(processor: Processor[..., Any]) -> AsyncIterator[list[Any]]:
    """Enter the processor's lifespan; yields what comes after the item."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        if processor.lifespan is not None:
            try:
                found.append(await stack.enter_async_context(processor.lifespan()))
            except Exception as error:
                raise Unisolable(
                    f"the lifespan of processor {processor.name!r} failed in a process of its own: "
                    f"{type(error).__name__}: {error}"
                ) from error
        yield found


def _open_book(order: Order, processor: Processor[..., Any], news: News) -> Book:
    return CellBook.open(
        news,
        order.values,
        order.indexes,
        json=order.json,
        attempts=order.attempts,
        run_id=order.run_id,
        processor=processor,
        options=order.options,
        key=order.key,
        worker=order.worker,
        undone=order.undone,
    )


async def _window(
    book: Book, order: Order, processor: Processor[..., Any], call: Callable[[Any], Any], news: News
) -> SlotWindow:
    if order.activity is None:
        context = contextvars.copy_context()
    else:
        context = await isolated(order.activity, is_async=processor.is_async)
    return open_window(
        book,
        (_marking_async if processor.is_async else _marking)(call, news),
        limit=order.limit,
        deadline=order.deadline,
        context=context,
        list_size=processor.list_size,
        # What runs in processes elsewhere runs in threads here: this is the process that may die.
        threads=None if processor.is_async else Threads(order.limit),
        gate=Gate.alone(order.rate, least=processor.list_size or 1) if order.rate else None,
    )


def _bound(
    processor: Processor[..., Any], resources: Sequence[Any], params: dict[str, Any]
) -> Callable[[Any], Any]:
    function = processor.body
    return lambda item: function(item, *resources, **params)


def _marking_async(call: Callable[[Any], Any], news: News) -> Callable[[Any], Any]:
    async def marked(item: Any) -> Any:
        positions = current_slot.get().positions
        news.start(positions)
        try:
            return await call(item)
        finally:
            news.done(positions)

    return marked


def _marking(call: Callable[[Any], Any], news: News) -> Callable[[Any], Any]:
    def marked(item: Any) -> Any:
        slot = current_slot.get()
        positions = list(slot.positions)
        news.start(positions)
        try:
            return call(item)
        finally:
            # A thread that was given up says nothing of an item that may be running again.
            if not getattr(slot, "abandoned", False):
                news.done(positions)

    return marked


def _listen(pipe: Connection, window: SlotWindow) -> None:
    """Hear what the parent says, and end with it."""
    loop = asyncio.get_running_loop()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError):
            while pipe.recv() == STOP:
                loop.call_soon_threadsafe(window.stop)
        os._exit(1)

    threading.Thread(target=listen, name="fanout-cell", daemon=True).start()
