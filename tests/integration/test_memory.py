"""The memory of a worker is bounded by bytes, however large items and results are, and however skewed their sizes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import fanout
from tests.integration.engine import Engine
from tests.integration.processors_in_workers import fat, weigh
from tests.integration.workers import Workers

MIB = 1024 * 1024
LIMIT = 32 * MIB
CONCURRENCY = 20

ALLOWED = 2 * LIMIT + 4 * CONCURRENCY * MIB
"""Twice the limit, since what is written exists twice for a moment; and what the items in flight hold themselves."""


@pytest.fixture(autouse=True)
def small_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker processes of these tests hold little."""
    monkeypatch.setenv("FANOUT_TEST_INFLIGHT", str(LIMIT))


def peak(pid: int) -> int:
    """Return the most memory that a process ever had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


async def grown_by(
    engine: Engine, workers: Workers, processor: object, reader: object, **arguments: object
) -> int:
    worker = await workers.start()
    client = await engine.client(fat, weigh)
    # What the first run of all loads stays.
    await (await engine.start(client, weigh, ["x"] * 50)).result()
    before = peak(worker.pid)
    run = await engine.start(client, processor, reader, max_concurrency=CONCURRENCY, **arguments)  # type: ignore[arg-type]
    result = await asyncio.wait_for(run.result(), 100)
    assert result.failed == 0
    return peak(worker.pid) - before


async def test_results_of_a_megabyte_do_not_pile_up(engine: Engine, workers: Workers) -> None:
    grown = await grown_by(engine, workers, fat, fanout.Range(300), params={"size": MIB})
    assert grown < ALLOWED, f"{grown / MIB:.0f} MiB"


async def test_items_of_a_megabyte_do_not_pile_up_behind_many_small_ones(
    engine: Engine, workers: Workers, tmp_path: Path
) -> None:
    path = tmp_path / "skewed.jsonl"
    with path.open("w") as file:
        for number in range(9_000):
            file.write(json.dumps("x" * (number % 100)) + "\n")
        for _ in range(250):
            file.write(json.dumps("x" * MIB) + "\n")
    grown = await grown_by(engine, workers, weigh, fanout.JsonLines(path), batch_size=5_000)
    assert grown < ALLOWED, f"{grown / MIB:.0f} MiB"
