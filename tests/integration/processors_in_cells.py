"""Processors that kill the process that runs them: cells import this module."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio import activity

import fanout


def act(number: int, how: dict[str, str]) -> None:
    """Do to the process what `how` says of the item."""
    match how.get(str(number)):
        case "exit":
            os._exit(7)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "spin":
            while True:
                pass
        case "regex":
            re.match(r"(a+)+$", "a" * 64 + "b")
        case "hog":
            here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (here + 2**26, here + 2**26))
            held = []
            while True:
                held.append(bytearray(2**24))
        case "interrupt":
            raise KeyboardInterrupt
        case "error":
            raise ValueError(f"item {number}")


def count(folder: str, number: int) -> int:
    """Count the runs of an item, in a file that no crash loses."""
    if not folder:
        return 0
    with Path(folder, str(number)).open("ab", buffering=0) as file:
        file.write(b".")
        return file.tell()


@fanout.processor(name="cell-async")
async def asynchronous(number: int, *, how: dict[str, str], folder: str = "", pause: float = 0.01) -> int:
    count(folder, number)
    await asyncio.sleep(pause)
    act(number, how)
    return 2 * number


@fanout.processor(name="cell-thread")
def threaded(number: int, *, how: dict[str, str], folder: str = "", pause: float = 0.01) -> int:
    count(folder, number)
    time.sleep(pause)
    act(number, how)
    return 2 * number


@fanout.processor(name="cell-process", executor="process")
def processed(number: int, *, how: dict[str, str], folder: str = "", pause: float = 0.01) -> int:
    return threaded(number, how=how, folder=folder, pause=pause)


@fanout.processor(name="cell-process-once", executor="process")
def processed_once(number: int, *, folder: str) -> int:
    """Kill the process at the first attempt of an item only."""
    if count(folder, number) == 1 and number == 3:
        os._exit(9)
    return number


@fanout.processor(name="cell-process-hangs", executor="process", timeout=1.0, retries=0)
def processed_hangs(number: int, *, folder: str) -> int:
    Path(folder, f"{os.getpid()}.pid").touch()
    while number == 3:
        pass
    return number


@fanout.processor(name="cell-list", list_size=5)
async def listed(
    numbers: list[int], *, how: dict[str, str], folder: str = "", pause: float = 0.01
) -> list[int]:
    await asyncio.sleep(pause)
    for number in numbers:
        count(folder, number)
        act(number, how)
    return [2 * number for number in numbers]


@fanout.processor(name="cell-list-thread", list_size=5)
def listed_thread(
    numbers: list[int], *, how: dict[str, str], folder: str = "", pause: float = 0.01
) -> list[int]:
    time.sleep(pause)
    for number in numbers:
        act(number, how)
    return [2 * number for number in numbers]


@fanout.processor(name="cell-retried")
async def retried(number: int, *, how: dict[str, str], folder: str) -> str:
    """Fail once, then do what is to be done."""
    times = count(folder, number)
    if times == 1:
        raise ValueError("once")
    act(number, how)
    info = fanout.info()
    return f"{info.index} {info.attempt} {info.key}"


@asynccontextmanager
async def pool() -> AsyncIterator[str]:
    yield f"pool of {os.getpid()}"


@fanout.processor(name="cell-lifespan", lifespan=pool)
async def pooled(number: int, found: str, *, how: dict[str, str]) -> str:
    await asyncio.sleep(0.01)
    act(number, how)
    return f"{found == f'pool of {os.getpid()}'}"


@asynccontextmanager
async def broken() -> AsyncIterator[None]:
    if os.getpid():
        raise RuntimeError("no database")
    yield


@fanout.processor(name="cell-broken", lifespan=broken)
async def broken_lifespan(number: int, found: None, *, how: dict[str, str]) -> int:
    return number


@asynccontextmanager
async def deadly() -> AsyncIterator[None]:
    if os.getpid():
        os._exit(3)
    yield


@fanout.processor(name="cell-deadly", lifespan=deadly)
async def deadly_lifespan(number: int, found: None, *, how: dict[str, str]) -> int:
    return number


@fanout.processor(name="cell-timeouts")
def timed(number: int, *, how: dict[str, str], seconds: float) -> int:
    act(number, how)
    if number % 5 == 0:
        time.sleep(seconds)
    return 2 * number


@fanout.processor(name="cell-activity")
async def in_activity(number: int, *, how: dict[str, str]) -> str:
    return activity.info().activity_type


@fanout.processor(name="cell-pid")
async def pid(number: int, *, how: dict[str, str], folder: str) -> None:
    Path(folder, "pid").write_text(str(os.getpid()))
    await asyncio.sleep(600)


@fanout.processor(name="cell-undo", compensates="cell-async")
async def undo(number: int, output: int, *, how: dict[str, str]) -> int:
    await asyncio.sleep(0.01)
    act(number, how)
    return output * number


@fanout.processor(name="cell-undo-list", compensates="cell-list", list_size=5)
def undo_list(numbers: list[int], outputs: list[int], *, how: dict[str, str]) -> list[int]:
    time.sleep(0.01)
    for number in numbers:
        act(number, how)
    return [output * number for number, output in zip(numbers, outputs, strict=True)]
