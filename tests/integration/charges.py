"""Charges that are made by one processor and refunded by another, and what both have seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.client import Client

import fanout
from fanout.models import RunResult
from tests.integration.engine import Engine

broken: set[int] = set()
held: set[int] = set()
refunded: list[tuple[int, str]] = []
keys_seen: dict[str, set[str]] = {}
refuse: set[int] = set()


@pytest.fixture(autouse=True)
def clean() -> None:
    for seen in (broken, held, refunded, keys_seen, refuse):
        seen.clear()


class Charge(BaseModel):
    id: str
    cents: int


@fanout.processor(retries=0)
async def charge(number: int, *, currency: str = "EUR") -> Charge:
    """Fail what is broken, and hold what is held for ever."""
    keys_seen.setdefault("charge", set()).add(fanout.info().idempotency_key)
    if number in held:
        await asyncio.Event().wait()
    if number in broken:
        raise ValueError(f"not {number}")
    return Charge(id=f"{currency}-{number}", cents=100 * number)


@fanout.processor(retries=0, compensates=charge)
async def refund(number: int, made: Charge, *, currency: str = "?") -> str:
    assert isinstance(made, Charge)
    assert made.cents == 100 * number
    keys_seen.setdefault("refund", set()).add(fanout.info().idempotency_key)
    if number in refuse:
        raise ConnectionError("the bank is closed")
    refunded.append((number, made.id))
    return f"refunded {made.id} in {currency}"


async def compensated(
    engine: Engine, client: Client, run: fanout.Run, *processor: Any, **arguments: Any
) -> tuple[fanout.Run, RunResult]:
    """Compensate to the end."""
    started = await run.compensate(*processor, **arguments)
    engine.started.append((client, started))
    return started, await started.result()


def numbers(found: Iterable[tuple[int, str]]) -> list[int]:
    return sorted(number for number, _ in found)
