"""Work for the processor, in processes of its own, against a bare process pool of as many."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import fanout
from bench.hashing import digest
from bench.jobs import hashed
from bench.outputs import same_rows
from bench.report import Figure, Report, Target
from bench.scales import Sizes
from bench.stage import Timed, stage

PROCESSES = os.cpu_count() or 1
"""What a worker process starts unless it is told otherwise: one a core."""

CHUNKS_EACH = 16
"""Chunks that each process of the bare pool gets: few enough to cost nothing, and enough to end together."""

WARM_UP = 50


async def measure(sizes: Sizes) -> Report:
    """Run the same items by both in turn, with their processes up; both write a row per item."""
    count = sizes.hashed_items
    ours: list[float] = []
    bare: list[float] = []
    runs: list[Timed] = []
    async with stage(processes=1) as here:
        written = here.folder / "bare"
        # A fork would copy the locks of this process's threads.
        with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
            await asyncio.to_thread(_bare, pool, WARM_UP, written)
            here.forget(await here.run(hashed, fanout.Range(WARM_UP), id="warm-up"))

            async def by_fanout() -> None:
                runs.append(await here.run(hashed, fanout.Range(count), id=f"round-{len(runs)}"))
                ours.append(runs[-1].seconds)

            async def by_pool() -> None:
                bare.append(await asyncio.to_thread(_bare, pool, count, written))

            contenders: list[Callable[[], Awaitable[None]]] = [by_fanout, by_pool]
            for turn in range(sizes.hash_rounds):
                for contender in contenders[:: -1 if turn % 2 else 1]:
                    await contender()
        same = all(same_rows(run.output, written) for run in runs)
    return Report(
        title=f"{count:,} items of {1000 * PROCESSES * min(bare) / count:.1f} ms of processor time, no option set, "
        f"one worker process with {PROCESSES} for its items",
        figures=[
            Figure.median_of("fanout", [count / seconds for seconds in ours], "items/s"),
            Figure.median_of(
                f"ProcessPoolExecutor({PROCESSES})", [count / seconds for seconds in bare], "items/s"
            ),
            Figure.median_of(
                "fanout / process pool",
                [theirs / mine for mine, theirs in zip(ours, bare, strict=True)],
                "x",
                target=Target("≥", 0.9),
            ),
            Figure("output is byte for byte the same", same, target=Target("=", 1, must=True), note="1: yes"),
        ],
        raw={"seconds": {"fanout": ours, "pool": bare}},
    )


def _bare(pool: ProcessPoolExecutor, count: int, target: Path) -> float:
    began = time.perf_counter()
    with target.open("w") as rows:
        chunk = max(1, count // (PROCESSES * CHUNKS_EACH))
        for index, output in enumerate(pool.map(digest, range(count), chunksize=chunk)):
            rows.write(f'{{"index":{index},"key":"{index}","output":"{output}"}}\n')
    return time.perf_counter() - began
