"""Keeps a number of worker processes alive, and ends them together.

A process that dies is started again, after a pause that grows while it keeps dying. What fails at its very first
start with a usage error, or for want of a server, is wrong with the command: that ends them all with its exit code.
Each child reads from a pipe that only this process holds: when this process is killed, its children notice and stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from fanout.cli import exits

if TYPE_CHECKING:
    from fanout.cli.pulses import Pulses

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
"""Long enough to spare a machine the endless start of what cannot live; short against the patience of a run."""
HEALTHY_AFTER = 20.0
"""Seconds of life after which a death counts as the first again. Items that kill find their way to a process within
a batch or two, so a worker that meets one now and then must not wait longer each time: its run would stand still."""

_FATAL_AT_FIRST = (exits.USAGE, exits.NO_SERVER)
_KILL_AFTER = 10.0

Tell = Callable[..., None]


def pause_after(deaths: int) -> float:
    """Return the seconds to wait before a process is started again that died so often in a row."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(deaths - 1, 30))


def describe_exit(code: int) -> str:
    """Say in words how a process ended."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


class Supervisor:
    """Runs the same command in several processes.

    Args:
        command: What to run.
        processes: How many of it.
        tell: Called with an event and its details, as a structlog logger's method is.
        grace: Seconds that a process has to end by itself.
        flags: Returns what is added to the command of the nth process, counted from 1.
        environment: Variables to add.
        output: Where the processes' output goes; None for where ours goes.
        pulses: Hears how the processes are; each is then told where to tell it.
    """

    def __init__(
        self,
        command: Sequence[str],
        processes: int,
        *,
        tell: Tell,
        grace: float,
        flags: Callable[[int], Sequence[str]] = lambda number: (),
        environment: Mapping[str, str] | None = None,
        output: IO[Any] | None = None,
        pulses: Pulses | None = None,
    ) -> None:
        self._command = list(command)
        self._processes = processes
        self._tell = tell
        self._grace = grace
        self._flags = flags
        self._environment = {**os.environ, **(environment or {})}
        self._output = output
        self._pulses = pulses
        self._stop = asyncio.Event()
        self._exit = exits.SUCCEEDED
        self._alive: set[asyncio.subprocess.Process] = set()

    def stop(self) -> None:
        """Ask all processes to end."""
        self._stop.set()
        if self._pulses is not None:
            self._pulses.stopping = True

    def kill(self) -> None:
        """End all processes at once."""
        self.stop()
        for process in self._alive:
            _send(process, signal.SIGKILL)

    async def run(self) -> int:
        """Keep the processes running until `stop`.

        Returns:
            0, or the exit code of a process that could not start at all.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._processes + 1):
                group.create_task(self._keep(number))
        return self._exit

    async def _keep(self, number: int) -> None:
        starts, deaths = 0, 0
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._live(number)
            starts += 1
            if self._stop.is_set():
                return
            if starts == 1 and code in _FATAL_AT_FIRST:
                self._exit = code
                self.stop()
                return
            deaths = 1 if time.monotonic() - began > HEALTHY_AFTER else deaths + 1
            pause = pause_after(deaths)
            self._tell(
                "a worker process ended; starting another",
                number=number,
                how=describe_exit(code),
                in_seconds=pause,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _live(self, number: int) -> int:
        """Run one process to its end, its own or ours, and return its exit code."""
        if self._pulses is None:
            return await self._end_of(await self._start(number))
        with self._pulses.listen(number) as pipe:
            process = await self._start(number, "--pulse-to", str(pipe), keep=[pipe])
            self._pulses.began(number, process.pid)
            return await self._end_of(process)

    async def _start(self, number: int, *more: str, keep: Sequence[int] = ()) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *self._flags(number),
            *more,
            stdin=asyncio.subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            env=self._environment,
            pass_fds=keep,
            # Ctrl-C in the terminal is for us; we pass it on once.
            start_new_session=True,
        )
        self._tell("worker process started", number=number, pid=process.pid)
        return process

    async def _end_of(self, process: asyncio.subprocess.Process) -> int:
        self._alive.add(process)
        ending = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                _send(process, signal.SIGTERM)
                await asyncio.wait({ending}, timeout=self._grace + _KILL_AFTER)
        finally:
            stopping.cancel()
            if not ending.done():
                _send(process, signal.SIGKILL)
            self._alive.discard(process)
        return await ending


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
