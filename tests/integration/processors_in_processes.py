"""Processors that run in processes of their own: the processes import this module."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import fanout


class Picky(Exception):
    """Cannot be pickled as exceptions usually are: it takes two arguments and passes on one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


@fanout.processor(executor="process")
def pid(number: int) -> int:
    return os.getpid()


@fanout.processor(executor="process", retries=0)
def errs(number: int) -> int:
    if number == 1:
        raise ValueError("one")
    if number == 2:
        raise fanout.ItemError("two", retryable=False)
    if number == 3:
        sys.exit("three")
    if number == 4:
        raise Picky("four", "five")
    return number


@fanout.processor(executor="process", retries=1, list_size=3)
def sums(numbers: list[int]) -> list[int | Exception]:
    return [ValueError("odd") if n == 5 else 10 * n for n in numbers]


@fanout.processor(executor="process", timeout=2)
def slow(number: int, *, seconds: float) -> int:
    time.sleep(seconds)
    return number


@asynccontextmanager
async def model() -> AsyncIterator[str]:
    yield f"model of {os.getpid()}"


@fanout.processor(executor="process", lifespan=model)
def modelled(number: int, loaded: str, *, suffix: str = "") -> str:
    return f"{loaded == f'model of {os.getpid()}'}{suffix}"


@fanout.processor(executor="process")
def who(number: int) -> str:
    info = fanout.info()
    return f"{info.index} {info.attempt} {info.idempotency_key.partition('/')[2]}"


@fanout.processor(executor="process", retries=0)
def dies(number: int) -> int:
    if number == 2:
        os._exit(9)
    return number


@fanout.processor(executor="process", compensates="charge")
def refund_in_process(number: int, made: dict[str, int | str]) -> str:
    return f"{number} {made['id']} {fanout.info().index}"
