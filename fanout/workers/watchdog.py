"""Ends a process whose event loop is blocked for ever.

An item that never lets go of the loop, or of the interpreter's lock (a runaway regular expression), defeats every
timeout: nothing else in the process runs. `faulthandler` has a thread that needs no lock; as long as the loop lives,
its alarm is put off every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator

PATIENCE = 1.5
"""Times the heartbeat timeout: by then the server has given the batches to others."""

PULSE = 1.0
_SAY_BEFORE = 0.3


def limit_of(heartbeat_timeout: float) -> float:
    """Return the seconds after which a blocked loop is given up."""
    return PATIENCE * heartbeat_timeout


class Watchdog:
    """Ends this process, with the tracebacks of all threads, when its event loop is blocked for too long.

    A process that was stopped for that long (SIGSTOP) ends when it goes on, too: its batches are others' by then.

    Args:
        enabled: Whether to watch at all. Off where nothing would start the process again.
        file: Descriptor that the tracebacks go to.
    """

    def __init__(self, *, enabled: bool, file: int = 2) -> None:
        self._enabled = enabled
        self._file = file
        self._limits: list[float] = []
        self._handle: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._ended = threading.Event()

    @contextlib.contextmanager
    def watching(self, heartbeat_timeout: float) -> Iterator[None]:
        """Watch the running loop as long as the block lasts; blocks may overlap, the longest limit counts."""
        if not self._enabled:
            yield
            return
        limit = limit_of(heartbeat_timeout)
        before = max(self._limits, default=0.0)
        self._limits.append(limit)
        if not before:
            self._begin()
        elif limit > before:
            self._arm()
        try:
            yield
        finally:
            self._limits.remove(limit)
            after = max(self._limits, default=0.0)
            if not after:
                self._end()
            elif after < limit:
                self._arm()

    def _begin(self) -> None:
        self._ended = threading.Event()
        self._pulse()
        threading.Thread(target=self._say, args=(self._ended,), name="fanout-watchdog", daemon=True).start()

    def _end(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._ended.set()
        faulthandler.cancel_dump_traceback_later()

    def _pulse(self) -> None:
        self._arm()
        interval = min(PULSE, min(self._limits) / 4)
        self._handle = asyncio.get_running_loop().call_later(interval, self._pulse)

    def _arm(self) -> None:
        # Each time a thread is started: not for every batch.
        limit = max(self._limits)
        self._deadline = time.monotonic() + limit
        faulthandler.dump_traceback_later(limit, exit=True, file=self._file)

    def _say(self, ended: threading.Event) -> None:
        """Say why, shortly before the end. Where the interpreter's lock is held, only the tracebacks tell."""
        while not ended.wait(max(0.01, self._deadline - _SAY_BEFORE - time.monotonic())):
            if time.monotonic() >= self._deadline - _SAY_BEFORE:
                limit = max(self._limits, default=0.0)
                text = (
                    f"fanout: process {os.getpid()} ends itself: its event loop has been blocked for {limit:g} s; "
                    "the tracebacks show by what\n"
                )
                with contextlib.suppress(OSError):
                    os.write(self._file, text.encode())
                sys.stderr.flush()
                ended.wait()
