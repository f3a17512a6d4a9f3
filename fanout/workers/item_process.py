"""The outside of a process for items: starts it, gives it items, and finds out of which one it died."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import pickle
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from fanout.children.address import Address
from fanout.children.async_window import untimed
from fanout.counting import current as counting
from fanout.iteminfo import info
from fanout.workers.item_server import READY, SIZE, serve

START_WITHIN = 300.0
"""Seconds that a process has for its imports and the processor's lifespan."""


class ItemProcess:
    """A process, which runs one item after the other.

    Args:
        address: The processor.

    Attributes:
        items: How many it has been given, or will be as soon as it is ready.
        retired: Whether it gets no more.
    """

    def __init__(self, address: Address) -> None:
        self.items = 0
        self.retired = False
        self._given: deque[_Given] = deque()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ours, theirs = socket.socketpair()
        with theirs:
            # A fork would copy the locks of this process's threads.
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(target=serve, args=(theirs, address))
            self._process.start()
        self._writer: asyncio.StreamWriter
        self._listening = asyncio.create_task(self._listen(ours))

    async def run(
        self, item: Any, params: dict[str, Any], let_in: Callable[[], Awaitable[None]]
    ) -> tuple[float, Any]:
        """Run an item after those that were given before; returns how long it took, and its output.

        Args:
            item: The item.
            params: Of the run.
            let_in: Waits until the item may begin, or raises.

        Raises:
            Died: The process did.
            TimeoutError: It was not ready in time.
        """
        self.items += 1
        try:
            with untimed():
                if not self._ready.done():
                    await self._get_ready()
                await let_in()
            given = self._give(item, params)
            try:
                if given is not self._given[0]:
                    with untimed():
                        await given.turn
                return _count(await given.outcome)
            finally:
                if not given.outcome.done() or given.outcome.cancelled():
                    self._forsake(given)
        finally:
            self.items -= 1

    def kill(self) -> None:
        """End it, whatever it does."""
        self.retired = True
        with contextlib.suppress(ValueError):  # it has ended, and is closed
            self._process.kill()

    async def _get_ready(self) -> None:
        await asyncio.wait({self._ready}, timeout=START_WITHIN)
        if not self._ready.done():
            self.kill()
            raise TimeoutError(f"a process for items was not ready within {START_WITHIN:g} s")
        if self._ready.exception() is not None:
            raise Died(guilty=True)

    def _give(self, item: Any, params: dict[str, Any]) -> _Given:
        if self.retired:
            raise Died(guilty=False)
        message = pickle.dumps((item, params, info()), pickle.HIGHEST_PROTOCOL)
        given = _Given()
        self._given.append(given)
        self._writer.write(SIZE.pack(len(message)) + message)
        return given

    def _forsake(self, given: _Given) -> None:
        """Let an item that was timed out or cut off not run for nobody."""
        given.outcome.cancel()
        self.retired = True
        if self._given and given is self._given[0]:
            self.kill()

    async def _listen(self, ours: socket.socket) -> None:
        """Hear of one item after the other, until the process has ended."""
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            await reader.readexactly(len(READY))
            self._ready.set_result(None)
            while True:
                (size,) = SIZE.unpack(await reader.readexactly(SIZE.size))
                self._hear(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._bury()
            self._writer.close()
            self._process.kill()
            await asyncio.to_thread(self._process.join)
            self._process.close()

    def _hear(self, message: bytes) -> None:
        given = self._given.popleft()
        if not given.outcome.done():
            try:
                seconds, output, error, trace, counts = pickle.loads(message)  # noqa: S301 - from a process of ours
            except Exception as failure:
                given.outcome.set_exception(failure)
            else:
                if error is not None:
                    error.__cause__ = _Elsewhere(trace)
                given.outcome.set_result((seconds, output, error, counts))
        if self._given:
            following = self._given[0]
            following.come()
            if following.outcome.cancelled():
                self.kill()

    def _bury(self) -> None:
        self.retired = True
        if not self._ready.done():
            self._ready.set_exception(Died(guilty=True))
        for number, given in enumerate(self._given):
            given.come()
            if not given.outcome.done():
                given.outcome.set_exception(Died(guilty=number == 0))


_Outcome = tuple[float, Any, BaseException | None, dict[str, float]]
"""Seconds, output, error, and what was counted."""


class _Given:
    """An item that a process was given.

    Attributes:
        turn: Done when the process comes to it.
        outcome: What came of it.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[_Outcome] = loop.create_future()

    def come(self) -> None:
        """Note that it is its turn."""
        if not self.turn.done():
            self.turn.set_result(None)


def _count(outcome: _Outcome) -> tuple[float, Any]:
    """Count here, for the item, what it has counted in its process; returns seconds and output, or raises."""
    seconds, output, error, counts = outcome
    add = counting.get(None)
    for name, value in counts.items():
        if add is not None:
            add(name, value)
    if error is not None:
        raise error
    return seconds, output


class Died(Exception):
    """A process died.

    Args:
        guilty: Whether this was the item that ran, or the process did not even get ready.
    """

    def __init__(self, *, guilty: bool) -> None:
        super().__init__("the process died")
        self.guilty = guilty


class _Elsewhere(Exception):
    """Where an error was raised, as the cause of its copy here."""

    def __init__(self, trace: str) -> None:
        super().__init__(f'\n"""\n{trace}"""')
