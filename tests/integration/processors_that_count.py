"""Processors that count, each in a kind of window of its own; processes import this module."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import fanout


def _count(number: int) -> int:
    """Count, and fail the first attempt of each tenth item, and each attempt of each 25th."""
    fanout.count("usd", 0.02)
    fanout.count("weight", number)
    if number % 25 == 3:
        raise ValueError("never")
    if number % 10 == 0 and fanout.info().attempt == 1:
        raise ValueError("not yet")
    return number


@fanout.processor(retries=1)
async def in_tasks(number: int) -> int:
    await asyncio.sleep(0)
    return _count(number)


@fanout.processor(retries=1)
def in_threads(number: int) -> int:
    return _count(number)


@fanout.processor(retries=1, executor="process")
def in_processes(number: int) -> int:
    return _count(number)


def _count_all(numbers: list[int]) -> list[Any]:
    fanout.count("calls")
    return [ValueError("never") if number % 25 == 3 else number for number in numbers]


@fanout.processor(retries=0, list_size=4)
async def lists_in_tasks(numbers: list[int]) -> list[Any]:
    return _count_all(numbers)


@fanout.processor(retries=0, list_size=4)
def lists_in_threads(numbers: list[int]) -> list[Any]:
    return _count_all(numbers)


@fanout.processor(retries=0, list_size=4, executor="process")
def lists_in_processes(numbers: list[int]) -> list[Any]:
    return _count_all(numbers)


@fanout.processor(retries=1, list_size=2)
async def partly(numbers: list[int]) -> list[Any]:
    """Of each first call one item is tried again, the first one; of the call with 0, both are."""
    first = fanout.info().attempt == 1
    fanout.count("calls")
    if not first:
        fanout.count("again", len(numbers))
        return list(numbers)
    return [ValueError("later"), ValueError("later") if 0 in numbers else numbers[-1]]


@fanout.processor(retries=1, timeout=1)
def hangs(number: int) -> int:
    """The first attempt is timed out, counts on while the second runs, and is no use to anybody."""
    fanout.count("weight", 1000)
    if fanout.info().attempt == 1:
        time.sleep(1.3)
        fanout.count("weight", 1000)
        return number
    time.sleep(0.8)
    return number


@fanout.processor(retries=0)
async def poisoned(number: int, *, folder: str) -> int:
    """Item 13 kills its process after it has counted, and the others too."""
    fanout.count("weight", 2.0**number)
    await asyncio.sleep(0.1)
    if number == 13:
        os._exit(3)
    await asyncio.sleep(0.1)
    (Path(folder) / f"{number}.done").touch()
    return number


@fanout.processor(retries=0)
async def wrong(number: int) -> int:
    fanout.count("usd", float("nan") if number == 1 else 0.5)
    if number == 2:
        for name in range(30):
            fanout.count(f"c{name}")
    if number == 3:
        fanout.count("not a name")
    return number
