"""The processors of the benchmarks, as `fanout worker bench.jobs` serves them."""

from __future__ import annotations

import asyncio
import os
import struct
import time

import fanout
from bench.durations import LAWS
from bench.hashing import digest
from bench.model import Item

INTERVAL = struct.Struct("<qq")
"""Beginning and end of an item, in nanoseconds of the machine's monotonic clock."""


@fanout.processor
async def noop(item: Item) -> int:
    """Do nothing, with a typed item and a typed output."""
    return item.id


@fanout.processor
async def number(item: int) -> int:
    """Do nothing, with a number."""
    return item


@fanout.processor
async def nap(item: int, *, seconds: float, log: str) -> int:
    """Wait, and note in this process's own file from when to when.

    Args:
        item: A number.
        seconds: How long.
        log: Folder of the files.
    """
    began = time.monotonic_ns()
    await asyncio.sleep(seconds)
    os.write(_log(log), INTERVAL.pack(began, time.monotonic_ns()))
    return item


@fanout.processor(timeout=600)
async def long_nap(item: int, *, seconds: float, log: str) -> int:
    """Do as `nap`, for times that the default timeout of a minute would cut short.

    Args:
        item: A number.
        seconds: How long.
        log: Folder of the files.
    """
    return await nap.function(item, seconds=seconds, log=log)


@fanout.processor
async def uneven(item: int, *, law: str, log: str) -> int:
    """Wait as long as a law of `bench.durations` says of this item, and note it as `nap` does.

    Args:
        item: A number.
        law: Name of the law.
        log: Folder of the files.
    """
    return await nap.function(item, seconds=LAWS[law](item), log=log)


hashed = fanout.processor(digest, name="hashed", executor="process")


_logs: dict[str, int] = {}


def _log(folder: str) -> int:
    """Return the descriptor of this process's file; one write to it is whole whatever happens next."""
    if folder not in _logs:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        _logs[folder] = os.open(os.path.join(folder, f"{os.getpid()}.intervals"), flags)  # noqa: PTH118
    return _logs[folder]


@fanout.processor
async def needle(item: int, *, wanted: int) -> int | None:
    """Take some time, and find one item."""
    await asyncio.sleep(0.001)
    return item if item == wanted else None
