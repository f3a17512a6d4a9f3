"""What a worker process holds for its batches: threads, processes, lifespans, and the files it may read."""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from temporalio.exceptions import ApplicationError

from fanout.children.budget import INFLIGHT_BYTES, Budget
from fanout.iteminfo import Info, current, info
from fanout.processors import Processor, registered
from fanout.storage.files import Files
from fanout.storage.roots import Roots


class WorkerDied(Exception):
    """The process that ran the item died."""


class Workbench:
    """What the batches of one worker process share.

    Args:
        processors: By name.
        roots: What may be read and written.
        threads: Threads for `def` processors.
        processes: Processes for `executor="process"`; None for one a core.
        max_inflight_bytes: Bytes of items and results that all batches together hold.

    Attributes:
        gate: One place for each of the processes.
        budget: The bytes that batches may hold.
    """

    def __init__(
        self,
        processors: Mapping[str, Processor[..., Any]],
        roots: Roots,
        *,
        threads: int,
        processes: int | None,
        max_inflight_bytes: int = INFLIGHT_BYTES,
    ) -> None:
        self.processors = processors
        self.roots = roots
        self.files = Files(roots)
        self._processes = processes or os.cpu_count() or 1
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="fanout-item")
        self._pools: dict[str, ProcessPoolExecutor] = {}
        self._resources: dict[str, Any] = {}
        self.gate = asyncio.Semaphore(self._processes)
        self.budget = Budget(max_inflight_bytes)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Enter the lifespans; leave them, and end threads and processes, at the end."""
        async with AsyncExitStack() as stack:
            stack.callback(self._close)
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

    def bind(self, processor: Processor[..., Any], params: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the processor's function as one of the item alone."""
        if processor.executor == "process":
            return self._in_process(processor, params)
        function = processor.function
        if processor.lifespan is not None:
            resource = self._resources[processor.name]
            if params:
                return lambda item: function(item, resource, **params)
            return lambda item: function(item, resource)
        return (lambda item: function(item, **params)) if params else function

    def _in_process(
        self, processor: Processor[..., Any], params: dict[str, Any]
    ) -> Callable[[Any], Awaitable[Any]]:
        async def call(item: Any) -> Any:
            pool = self._pool(processor)
            try:
                return await asyncio.wrap_future(pool.submit(_run, item, params, info()))
            except BrokenProcessPool:
                if self._pools.get(processor.name) is pool:
                    del self._pools[processor.name]
                    pool.shutdown(wait=False, cancel_futures=True)
                raise WorkerDied("a process died while this item, or another beside it, ran in it") from None

        return call

    def _pool(self, processor: Processor[..., Any]) -> ProcessPoolExecutor:
        pool = self._pools.get(processor.name)
        if pool is None:
            pool = self._pools[processor.name] = ProcessPoolExecutor(
                self._processes,
                # A fork would copy the locks of this process's threads.
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_set_up,
                initargs=(processor.__module__, processor.__qualname__, processor.name),
            )
        return pool

    def _close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


# ---- in the child processes


class _Child:
    """What a child process was set up with."""

    call: Callable[..., Any]
    keep: tuple[Any, ...] = ()


def _set_up(module: str, qualname: str, name: str) -> None:
    target: Any = importlib.import_module(module)
    for part in qualname.split("."):
        target = getattr(target, part)
    processor = target if isinstance(target, Processor) else registered().get(name)
    function = processor.function if processor is not None else target
    _Child.call = staticmethod(function)
    if processor is not None and processor.lifespan is not None:
        loop = asyncio.new_event_loop()
        manager = processor.lifespan()
        resource = loop.run_until_complete(manager.__aenter__())
        # Both must outlive this function; the manager's exit comes with the process.
        _Child.keep = (loop, manager)
        _Child.call = staticmethod(lambda item, **params: function(item, resource, **params))


def _run(item: Any, params: dict[str, Any], told: Info) -> Any:
    current.set(lambda: told)
    try:
        return _Child.call(item, **params)
    except Exception as error:
        if _travels(error):
            raise
        raise ApplicationError(str(error), type=type(error).__name__) from error


def _travels(error: Exception) -> bool:
    """Tell whether an exception survives the way to another process; one that does not takes the pool with it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line above
    except Exception:
        return False
    return True
