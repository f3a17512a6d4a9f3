"""Processes for `executor="process"`: each runs one item at a time, so that a death has one culprit.

One pool of several processes would not do: when one of them dies, all items of the pool fail with it, and nothing
says whose fault it was; and one that hangs cannot be ended without the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import pickle
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from temporalio.exceptions import ApplicationError

from fanout.children.address import Address
from fanout.children.async_window import untimed
from fanout.errors import Unisolable
from fanout.iteminfo import Info, current, info
from fanout.processors import Processor

TRIES = 2
"""An item whose process dies runs once more: the system may have killed it for another's hunger for memory."""

START_WITHIN = 300.0
"""Seconds that a process has for its imports and the processor's lifespan."""


class ItemProcesses:
    """The processes of one processor; each is started when it is first needed.

    How many there are at once is the business of whoever calls.

    Args:
        processor: The processor.
    """

    def __init__(self, processor: Processor[..., Any]) -> None:
        self._address = Address.of(processor)
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: set[ProcessPoolExecutor] = set()
        self._ready: weakref.WeakSet[ProcessPoolExecutor] = weakref.WeakSet()

    def bind(self, params: dict[str, Any]) -> Callable[[Any], Awaitable[Any]]:
        """Return what runs an item in a process."""

        async def call(item: Any) -> Any:
            for _ in range(TRIES):
                with contextlib.suppress(BrokenProcessPool):
                    return await self._run(item, params)
            raise ApplicationError(
                f"the process that ran this item died, {TRIES} times", type="WorkerDied", non_retryable=True
            )

        return call

    def close(self) -> None:
        """End all processes, also those that hang."""
        for pool in [*self._idle, *self._busy]:
            _kill(pool)

    async def _run(self, item: Any, params: dict[str, Any]) -> Any:
        pool = self._idle.pop() if self._idle else self._start()
        self._busy.add(pool)
        running: Future[Any] | None = None
        try:
            if pool not in self._ready:
                with untimed():
                    await self._get_ready(pool)
            running = pool.submit(_run, item, params, info())
            return await asyncio.wrap_future(running)
        finally:
            self._busy.discard(pool)
            # Timed out or cut off, it would go on for nobody; broken, it is of no use any more.
            if running is None or not running.done() or isinstance(running.exception(), BrokenProcessPool):
                _kill(pool)
            else:
                self._idle.append(pool)

    async def _get_ready(self, pool: ProcessPoolExecutor) -> None:
        """Wait for imports and lifespan: they are no part of an item's time."""
        async with asyncio.timeout(START_WITHIN):
            await asyncio.wrap_future(pool.submit(_begin))
        self._ready.add(pool)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            # A fork would copy the locks of this process's threads.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_set_up,
            initargs=(self._address,),
        )


def _kill(pool: ProcessPoolExecutor) -> None:
    """End a pool and its process, whatever that does: there is no public way before Python 3.14."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


# ---- in the processes


class _Child:
    """What a process was set up with."""

    call: Callable[..., Any]
    keep: tuple[Any, ...] = ()
    error = ""


def _set_up(address: Address) -> None:
    try:
        function, lifespan = address.load_call()
    except Unisolable as error:
        # Raised here it would look like a death.
        _Child.error = str(error)
        return
    _Child.call = staticmethod(function)
    if lifespan is not None:
        loop = asyncio.new_event_loop()
        manager = lifespan()
        resource = loop.run_until_complete(manager.__aenter__())
        # Both must outlive this function; the manager's exit comes with the process.
        _Child.keep = (loop, manager)
        _Child.call = staticmethod(lambda item, **params: function(item, resource, **params))


def _begin() -> None:
    """Do nothing: it is run once the process is set up."""


def _run(item: Any, params: dict[str, Any], told: Info) -> Any:
    if _Child.error:
        raise ApplicationError(_Child.error, type=Unisolable.__name__, non_retryable=True)
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
