"""What a worker process holds for its batches: threads, processes, lifespans, and the files it may read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from fanout import reducing
from fanout.beside import beside
from fanout.children.budget import INFLIGHT_BYTES, Budget
from fanout.children.gate import Gate, Gates
from fanout.children.searching import Searches
from fanout.errors import WorkerExhausted
from fanout.folding import Fold
from fanout.observability.logs import get_logger
from fanout.observability.metrics import Metrics
from fanout.options import Options
from fanout.processors import Processor
from fanout.storage.files import Files
from fanout.storage.records import RunRecord
from fanout.storage.roots import Roots
from fanout.workers.item_processes import ItemProcesses
from fanout.workers.threads import Threads
from fanout.workers.watchdog import Watchdog

REDUCING = 8
"""Threads for reducers: of one process only one of them computes at a time, but some may hang."""


class Workbench:
    """What the batches of one worker process share.

    Args:
        processors: By name.
        roots: What may be read and written.
        threads: Threads for `def` processors.
        processes: Processes of a processor with `executor="process"`; None for one a core.
        max_inflight_bytes: Bytes of items and results that all batches together hold.
        watchdog: Whether to end this process when its event loop is blocked for ever.

    Attributes:
        budget: The bytes that batches may hold.
        gates: Where items wait for the rate limits of their runs.
        searches: What batches have found whose runs look for something.
        metrics: What is measured of batches.
        watchdog: Watches the event loop while a batch runs.
        exhausted: Set when this process is of no use any more.
        exhaustion: Why.
    """

    def __init__(
        self,
        processors: Mapping[str, Processor[..., Any]],
        roots: Roots,
        *,
        threads: int,
        processes: int | None,
        max_inflight_bytes: int = INFLIGHT_BYTES,
        watchdog: bool = False,
    ) -> None:
        self.processors = processors
        self.roots = roots
        self.files = Files(roots)
        self.threads = Threads(threads)
        self._reducing = Threads(REDUCING, name="fanout-reduce")
        self.watchdog = Watchdog(enabled=watchdog)
        self._processes = processes or os.cpu_count() or 1
        self._item_processes: dict[str, ItemProcesses] = {}
        self._resources: dict[str, Any] = {}
        self.budget = Budget(max_inflight_bytes)
        self.gates = Gates()
        self.searches = Searches()
        self.metrics = Metrics()
        self.exhausted = asyncio.Event()
        self.exhaustion = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Enter the lifespans; leave them, and end threads and processes, at the end."""
        loop = asyncio.get_running_loop()

        def exhausted(reason: str) -> None:
            self.exhaustion = reason
            loop.call_soon_threadsafe(self.exhausted.set)

        self.threads.on_exhausted = self._reducing.on_exhausted = exhausted
        async with AsyncExitStack() as stack:
            stack.callback(self._close)
            await stack.enter_async_context(beside(self.metrics.sample()))
            entered: dict[int, Any] = {}
            for processor in self.processors.values():
                lifespan = processor.lifespan
                if lifespan is None or processor.executor == "process":
                    continue
                # Processors that name the same lifespan share what it yields.
                if id(lifespan) not in entered:
                    entered[id(lifespan)] = await stack.enter_async_context(lifespan())
                self._resources[processor.name] = entered[id(lifespan)]
            yield

    @asynccontextmanager
    async def retiring(self, shutdown: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Shut the worker down when this process is exhausted by threads that hang.

        Raises:
            WorkerExhausted: That has happened.
        """

        async def retire() -> None:
            await self.exhausted.wait()
            get_logger("fanout.worker").error("worker exhausted", reason=self.exhaustion)
            await shutdown()

        async with beside(retire()):
            yield
        if self.exhaustion:
            raise WorkerExhausted(f"{self.exhaustion}: start another worker process")

    def bind(
        self, processor: Processor[..., Any], params: dict[str, Any], gate: Gate | None = None
    ) -> Callable[[Any], Any]:
        """Return the processor's function as one of the item alone; one for processes goes through the gate."""
        if processor.executor == "process":
            return self._items_of(processor).bind(params, gate)
        function = processor.body
        if processor.lifespan is not None:
            resource = self._resources[processor.name]
            if params:
                return lambda item: function(item, resource, **params)
            return lambda item: function(item, resource)
        return (lambda item: function(item, **params)) if params else function

    def folds(self, record: RunRecord) -> Callable[[], Fold] | None:
        """Return what makes values of nothing yet of a run's reducer; None where the run has none.

        Raises:
            UnknownReducer: It is not registered here.
        """
        if record.reduce is None:
            return None
        most = Options(**record.options).max_reduced_bytes
        return partial(Fold, reducing.find(record.reduce), self._reducing, most)

    def _items_of(self, processor: Processor[..., Any]) -> ItemProcesses:
        found = self._item_processes.get(processor.name)
        if found is None:
            found = self._item_processes[processor.name] = ItemProcesses(processor, self._processes)
        return found

    def _close(self) -> None:
        self.threads.close()
        self._reducing.close()
        for processes in self._item_processes.values():
            processes.close()
