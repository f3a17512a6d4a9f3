"""Processes that use a store one request at a time, where a test says when, and with which fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fanout.errors import ObjectExists, StoreUnavailable
from fanout.storage.stores import Store
from tests.unit.storage.faulty import FaultyStore

T = TypeVar("T")

NONE = ""
REFUSED = "refused"
"""Nothing was done, and the answer says so."""
LOST = "lost"
"""It was done, and the answer never came."""
CONFLICT = "conflict"
"""A create says that something is there; nothing was done, and perhaps nothing is there."""
OWN_EXISTS = "own exists"
"""A create says that something is there: what it has just written itself."""

FAULTS = (REFUSED, LOST, CONFLICT, OWN_EXISTS)


class Process:
    """One execution of something: it waits before each request to its store until it is told to go on.

    Not told any more, it has died: no handler of errors runs its course. Told late, it is a zombie.
    """

    def __init__(self, name: str, inner: Store, work: Callable[[Store], Awaitable[Any]]) -> None:
        self.name = name
        self.operation = ""
        self._parked = asyncio.Event()
        self._turn: asyncio.Future[str] | None = None
        self._task = asyncio.ensure_future(work(SteppedStore(inner, self)))
        self._task.add_done_callback(lambda _: self._parked.set())

    @property
    def done(self) -> bool:
        return self._task.done()

    def result(self) -> Any:
        return self._task.result()

    async def begin(self) -> None:
        """Run until it wants something of its store."""
        await self._parked.wait()

    async def step(self, fault: str = NONE) -> None:
        """Grant it one request."""
        # A request beside one that failed is given up, and the process goes on to another, or to its end.
        while not self.done and self._turn is not None and self._turn.cancelled():
            self._parked.clear()
            await self._parked.wait()
        if not self.done and self._turn is not None:
            self._parked.clear()
            self._turn.set_result(fault)
            await self._parked.wait()

    async def turn(self, operation: str) -> str:
        """Wait for its turn; returns how the request goes wrong."""
        self.operation = operation
        self._turn = asyncio.get_running_loop().create_future()
        self._parked.set()
        return await self._turn

    async def end(self) -> None:
        """Take it away."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task


class SteppedStore(FaultyStore):
    """The store of one process: of requests that are made at once, one after the other is granted."""

    def __init__(self, inner: Store, process: Process) -> None:
        super().__init__(inner)
        self._process = process
        self._fault = NONE
        self._one = asyncio.Lock()
        self.before = self._before
        self.after = self._after

    async def _pass(self, operation: str, path: str, call: Callable[[], Awaitable[T]]) -> T:
        async with self._one:
            return await super()._pass(operation, path, call)

    async def _before(self, operation: str, path: str) -> None:
        self._fault = await self._process.turn(operation)
        if self._fault == REFUSED:
            raise StoreUnavailable(f"503 for {path}")
        if self._fault == CONFLICT and operation == "create":
            raise ObjectExists(f"409 for {path}")

    def _after(self, operation: str, path: str) -> None:
        if self._fault == LOST:
            raise StoreUnavailable(f"no answer for {path}")
        if self._fault == OWN_EXISTS and operation == "create":
            raise ObjectExists(f"412 for {path}")
