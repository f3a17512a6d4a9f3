"""The memory of a process that does nothing but work: its heap, and when the garbage collector looks for what."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import time
from typing import Any

OFTEN = (5_000, 10, 5)
"""Objects, young collections and middle ones, after which the collector looks at objects of each age."""

SELDOM = (*OFTEN[:2], 1_000_000)
"""The same while full collections rest."""

REST = 20
"""Times what a full collection took, until the next one may come."""

_M_ARENA_MAX = -8


def share_heap() -> None:
    """Let all threads of a worker process share one heap; call it before there are any.

    glibc gives each thread a heap of its own and keeps what each ever needed. A worker's threads take turns at large
    buffers, so that is several times what is in use: 180 MiB instead of 115 after five million items. It is no
    slower, since the interpreter lets one thread run at a time anyway. `MALLOC_ARENA_MAX` overrides it.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def settle_memory() -> None:
    """Tell the garbage collector that what is there now stays, in a process that does nothing but work.

    Imported modules are most of a worker's objects: there is nothing to find in them, again and again. Without them a
    full collection is quick, so it may come often: a workflow that has ended leaves its sandbox to the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*OFTEN)
    gc.callbacks.append(Collections())


class Collections:
    """Keeps full collections to a small part of the time; a callback of the garbage collector.

    Each looks at all that is in flight: half a second for 100,000 items that wait, again and again while they become
    more. That was two fifths of a worker's time until they all waited.
    """

    def __init__(self) -> None:
        self._began = self._rested = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """See `gc.callbacks`."""
        now = time.monotonic()
        full = info["generation"] == 2
        if full and phase == "start":
            self._began = now
        elif full:
            self._rested = now + REST * (now - self._began)
            gc.set_threshold(*SELDOM)
        elif self._rested and now >= self._rested:
            self._rested = 0.0
            gc.set_threshold(*OFTEN)
