"""Controlled parallelism: sixteen newspapers on four scanners; two of the papers are ten times as thick."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

from examples.serving import run, serving
from fanout import patterns

SCANNERS = 4
PAGES = [4, 4, 40, 4, 4, 4, 4, 4, 4, 4, 4, 4, 40, 4, 4, 4]
PATIENCE = timedelta(minutes=1)


@dataclass
class Newspaper:
    number: int
    pages: int


@activity.defn
async def scan(paper: Newspaper) -> int:
    await asyncio.sleep(paper.pages * 0.015)
    return paper.pages


# --8<-- [start:chunks]
@workflow.defn
class InChunks:
    @workflow.run
    async def run(self, papers: list[Newspaper]) -> int:
        pages = 0
        async for chunk in patterns.chunked(
            scan, papers, chunk_size=SCANNERS, start_to_close_timeout=PATIENCE
        ):
            pages += sum(chunk)
        return pages


# --8<-- [end:chunks]
# --8<-- [start:window]
@workflow.defn
class InAWindow:
    @workflow.run
    async def run(self, papers: list[Newspaper]) -> int:
        pages = 0
        # A chunk waits for its thickest paper, with three scanners idle. Here the next paper takes a free one.
        async with patterns.sliding_window(
            scan, papers, max_concurrency=SCANNERS, start_to_close_timeout=PATIENCE
        ) as scanned:
            async for _, there in scanned:
                pages += there
        return pages


# --8<-- [end:window]


async def main() -> None:
    papers = [Newspaper(number, pages) for number, pages in enumerate(PAGES, 1)]
    queue = "controlled-parallelism"
    async with serving(queue, workflows=[InChunks, InAWindow], activities=[scan]) as client:
        for archive in (InChunks, InAWindow):
            began = time.perf_counter()
            pages = await client.execute_workflow(
                archive.run, papers, id=f"{queue}-{archive.__name__}", task_queue=queue
            )
            print(f"{archive.__name__:<9} {pages} pages in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    run(main())
