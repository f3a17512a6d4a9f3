"""How the supervisor knows that its worker processes are well: each one tells it every second, through a pipe.

Only an event loop that runs can tell, so a process that hangs falls silent. What a process says of itself is its stage
and what is wrong with its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal

from fanout.workers.health import Part

EVERY = 1.0

SILENT_UNREADY = 10.0
SILENT_UNWELL = 60.0
"""Seconds. Longer than it takes a process to end itself whose loop is blocked, at the usual heartbeat timeout: then
only that process is started again, and not its healthy neighbours with it."""
START_WITHIN = 300.0
"""Seconds until a process must have told something: its modules may load a model as they are imported."""

Stage = Literal["starting", "polling", "stopping"]


@dataclass
class Pulse:
    """What a worker process says of itself.

    Attributes:
        stage: Where it is in its life.
        trouble: What is wrong with its server; empty if nothing is.
    """

    stage: Stage = "starting"
    trouble: str = ""


async def keep_telling(pipe: int, pulse: Pulse) -> None:
    """Tell the supervisor how this process is, until cancelled.

    Args:
        pipe: Descriptor to write to.
        pulse: Changed by others as they go on.
    """
    os.set_blocking(pipe, False)
    while True:
        # A supervisor that is gone or hangs is not for this to notice.
        with contextlib.suppress(OSError):
            os.write(pipe, json.dumps(asdict(pulse)).encode() + b"\n")
        await asyncio.sleep(EVERY)


@dataclass
class _Process:
    """One of the processes, through all its lives."""

    since: float
    pid: int | None = None
    heard: bool = False
    pulse: Pulse = field(default_factory=Pulse)
    rest: bytes = b""


class Pulses:
    """What the supervisor has heard of its processes.

    Args:
        processes: How many there are, numbered from 1 on.
        clock: Tells the time in seconds.
    """

    def __init__(self, processes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = {number: _Process(clock()) for number in range(1, processes + 1)}
        self.stopping = False

    @contextmanager
    def listen(self, number: int) -> Iterator[int]:
        """Listen to a life of a process.

        Yields:
            The descriptor that the process is to write to.
        """
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        process = self._all[number]
        process.heard, process.pulse, process.rest = False, Pulse(), b""
        loop = asyncio.get_running_loop()
        loop.add_reader(reading, self._hear, process, reading)
        try:
            yield writing
        finally:
            loop.remove_reader(reading)
            os.close(reading)
            os.close(writing)
            process.pid, process.heard = None, False

    def began(self, number: int, pid: int) -> None:
        """Take note of which process it is in this life."""
        self._all[number].pid = pid

    def look(self) -> list[Part]:
        """Return how each process is."""
        return [self._part(number, process) for number, process in self._all.items()]

    def _hear(self, process: _Process, pipe: int) -> None:
        *lines, process.rest = (process.rest + os.read(pipe, 65536)).split(b"\n")
        if lines:
            process.pulse = Pulse(**json.loads(lines[-1]))
            process.heard, process.since = True, self._clock()

    def _part(self, number: int, process: _Process) -> Part:
        name = f"process {number}" + (f" (pid {process.pid})" if process.pid else "")
        if self.stopping:
            return Part(name, unready="it is shutting down")
        silent = self._clock() - process.since
        said = f"silent for {silent:.0f} s: its event loop is blocked, or it is stopped"
        if not process.heard:
            state = "it starts" if process.pid else "it has died, and is started again"
            slow = silent > START_WITHIN
            return Part(name, unwell=f"{state}, for {silent:.0f} s by now" if slow else "", unready=state)
        if silent > SILENT_UNREADY:
            return Part(name, unwell=said if silent > SILENT_UNWELL else "", unready=said)
        stages = {"starting": "it does not poll yet", "stopping": "it is shutting down", "polling": ""}
        return Part(name, unready=stages[process.pulse.stage] or process.pulse.trouble)
