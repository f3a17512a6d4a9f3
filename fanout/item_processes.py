"""Processes for `executor="process"`: each runs one item at a time, so that a death has one culprit.

A pool of the standard library would not do: when one of its processes dies, all its items fail, and nothing says whose
fault it was; one that hangs cannot be ended without the others; and each item goes through two threads and back.

A process that has ended a short item would idle until the event loop comes round to giving it another one. So it is
given the next items early, and runs them in that order: when it dies, the first without an outcome is the culprit.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import multiprocessing
import pickle
import signal
import socket
import struct
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.exceptions import ApplicationError

from fanout.children.address import Address
from fanout.children.async_window import END_OF_ALL, untimed
from fanout.errors import Unisolable
from fanout.iteminfo import current, info
from fanout.processors import Processor

TRIES = 2
"""An item whose process dies runs once more: the system may have killed it for another's hunger for memory."""

START_WITHIN = 300.0
"""Seconds that a process has for its imports and the processor's lifespan."""

SHORT = 0.05
"""Seconds of an item up to which the next ones are given early: behind a longer one they had better not wait."""

AHEAD_SECONDS = 0.01
"""Work that is given early: more than the event loop takes to come round …"""

MOST_AHEAD = 8
"""… and not so many items that other processes idle at the end of a batch."""

INERTIA = 0.8
"""How much of what items usually take is what they took before."""

_READY = b"!"
_SIZE = struct.Struct("<Q")


class ItemProcesses:
    """The processes of one processor; each is started when it is first needed.

    Args:
        processor: The processor.
        most: How many there are at most.
    """

    def __init__(self, processor: Processor[..., Any], most: int) -> None:
        self._address = Address.of(processor)
        self._most = most
        self._processes: list[_Process] = []
        self._places = asyncio.Semaphore(most)
        self._width = most
        self._usual = math.inf

    def bind(self, params: dict[str, Any]) -> Callable[[Any], Awaitable[Any]]:
        """Return what runs an item in a process; while the item waits for one, its timeout does not run."""

        async def call(item: Any) -> Any:
            with untimed():
                await self._places.acquire()
            try:
                return await self._run(item, params)
            finally:
                self._leave()

        return call

    def close(self) -> None:
        """End all processes, also those that hang."""
        for process in self._processes:
            process.kill()

    async def _run(self, item: Any, params: dict[str, Any]) -> Any:
        deaths = 0
        while deaths < TRIES:
            process = self._choose()
            try:
                seconds, output = await process.run(item, params)
            except _Died as death:
                deaths += death.guilty
            else:
                known = self._usual < math.inf
                self._usual = INERTIA * self._usual + (1 - INERTIA) * seconds if known else seconds
                return output
        raise ApplicationError(
            f"the process that ran this item died, {TRIES} times", type="WorkerDied", non_retryable=True
        )

    def _choose(self) -> _Process:
        """Return the process that will come to a further item first."""
        self._processes = [process for process in self._processes if process.items or not process.retired]
        fit = [process for process in self._processes if not process.retired]
        first = min(fit, key=lambda process: process.items, default=None)
        if first is None or (first.items and len(fit) < self._most):
            first = _Process(self._address)
            self._processes.append(first)
        return first

    def _leave(self) -> None:
        """Give a place back; there are as many for each process as it should have items."""
        self._width -= 1
        while self._width < self._most * self._depth():
            self._width += 1
            self._places.release()

    def _depth(self) -> int:
        if self._usual > SHORT:
            return 1
        return min(MOST_AHEAD, 2 + int(AHEAD_SECONDS / max(self._usual, 1e-6)))


class _Process:
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
            self._process = context.Process(target=_serve, args=(theirs, address))
            self._process.start()
        self._writer: asyncio.StreamWriter
        self._listening = asyncio.create_task(self._listen(ours))

    async def run(self, item: Any, params: dict[str, Any]) -> tuple[float, Any]:
        """Run an item after those that were given before; returns how long it took, and its output.

        Raises:
            _Died: The process did.
            TimeoutError: It was not ready in time.
        """
        self.items += 1
        try:
            if not self._ready.done():
                with untimed():
                    await self._get_ready()
            given = self._give(item, params)
            try:
                if given is not self._given[0]:
                    with untimed():
                        await given.turn
                return await given.outcome
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
            raise _Died(guilty=True)

    def _give(self, item: Any, params: dict[str, Any]) -> _Given:
        if self.retired:
            raise _Died(guilty=False)
        message = pickle.dumps((item, params, info()), pickle.HIGHEST_PROTOCOL)
        given = _Given()
        self._given.append(given)
        self._writer.write(_SIZE.pack(len(message)) + message)
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
            await reader.readexactly(len(_READY))
            self._ready.set_result(None)
            while True:
                (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
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
                seconds, output, error, trace = pickle.loads(message)  # noqa: S301 - from a process of ours
            except Exception as failure:
                given.outcome.set_exception(failure)
            else:
                if error is None:
                    given.outcome.set_result((seconds, output))
                else:
                    error.__cause__ = _Elsewhere(trace)
                    given.outcome.set_exception(error)
        if self._given:
            following = self._given[0]
            following.come()
            if following.outcome.cancelled():
                self.kill()

    def _bury(self) -> None:
        self.retired = True
        if not self._ready.done():
            self._ready.set_exception(_Died(guilty=True))
        for number, given in enumerate(self._given):
            given.come()
            if not given.outcome.done():
                given.outcome.set_exception(_Died(guilty=number == 0))


class _Given:
    """An item that a process was given.

    Attributes:
        turn: Done when the process comes to it.
        outcome: Seconds and output.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = loop.create_future()
        self.outcome: asyncio.Future[tuple[float, Any]] = loop.create_future()

    def come(self) -> None:
        """Note that it is its turn."""
        if not self.turn.done():
            self.turn.set_result(None)


class _Died(Exception):
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


# ---- in the processes


def _serve(theirs: socket.socket, address: Address) -> None:
    """Run one item after the other, until nobody gives any more."""
    # Ctrl-C is for the worker, which decides what is to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    call, _kept = _set_up(address)
    with theirs, theirs.makefile("rwb") as stream:
        stream.write(_READY)
        stream.flush()
        while head := stream.read(_SIZE.size):
            (size,) = _SIZE.unpack(head)
            answer = _run(call, stream.read(size))
            stream.write(_SIZE.pack(len(answer)) + answer)
            stream.flush()


def _set_up(address: Address) -> tuple[Callable[..., Any], object]:
    """Return what runs an item, and what must live as long."""
    try:
        function, lifespan = address.load_call()
    except Unisolable as error:
        refusal = ApplicationError(str(error), type=Unisolable.__name__, non_retryable=True)

        # Raised here it would look like a death.
        def refuse(_item: Any, **_params: Any) -> Any:
            raise refusal

        return refuse, None
    if lifespan is None:
        return function, None
    loop = asyncio.new_event_loop()
    manager = lifespan()
    resource = loop.run_until_complete(manager.__aenter__())
    return lambda item, **params: function(item, resource, **params), (loop, manager)


def _run(call: Callable[..., Any], message: bytes) -> bytes:
    """Run an item; returns seconds, output, error and traceback."""
    began = time.perf_counter()
    try:
        item, params, told = pickle.loads(message)  # noqa: S301 - from the worker
        current.set(lambda: told)
        output = call(item, **params)
        return pickle.dumps((time.perf_counter() - began, output, None, ""), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))
        seconds = time.perf_counter() - began
        return pickle.dumps((seconds, None, _portable(error), trace), pickle.HIGHEST_PROTOCOL)


def _portable(error: BaseException) -> BaseException:
    """Return an exception that survives the way to another process, and says nothing of that process there."""
    if not isinstance(error, (*END_OF_ALL, StopIteration)):
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
            return error
    return ApplicationError(str(error), type=type(error).__name__)
