"""What there is to look at: a server of its own with a worker, and runs in the middle, paused, in groups, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.client import Client

import fanout
from fanout.devserver import start_dev_server
from fanout.workers.worker import run_worker
from tests.waiting import eventually

QUEUE = "images"
HELD = 2_600
"""Where the large run stops: in the third of its eight partitions."""

# All signs that the id of a run may have.
ODD = "nightly@2026-11-27T02:30+01:00~a_b=c"


class Image(BaseModel):
    """One line of the file."""

    number: int
    url: str


@dataclass
class Scene:
    """Runs that stand still as long as one looks.

    Attributes:
        ui_url: Where Temporal Web is.
        client: Of the server.
        large: Eight partitions: two have ended, one is in the middle, five hold all of their items.
        paused: Small, and paused.
        grouped: Groups of groups of partitions.
        ended: Small, with failures.
        failed: Failed at once.
    """

    ui_url: str
    client: Client
    large: fanout.Run
    paused: fanout.Run
    grouped: fanout.Run
    ended: fanout.Run
    failed: fanout.Run


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """Set it up, and take it down.

    Args:
        folder: For the source and the store.
    """
    gate = asyncio.Event()

    async def thumbnail(image: Image, *, hold: int = 10**9) -> int:
        if image.number % 400 == 17:
            raise ValueError(f"`{image.url}` is no <b>image</b>: $2 of $3")
        if image.number % 900 == 5:
            raise fanout.ItemError(f"no such file: {image.url}", retryable=False)
        if image.number >= hold:
            await gate.wait()
        return image.number

    source = folder / "images.csv"
    rows = "".join(f"{n},https://example.com/{n}.jpg\n" for n in range(8_000))
    source.write_text(f"number,url\n{rows}")
    processor = fanout.processor(thumbnail, retries=0, timeout=3600)
    plugin = fanout.Plugin([processor], store=folder / "out", allowed_roots=[folder])

    async def start(id: str, count: int, hold: int, **options: Any) -> fanout.Run:
        reader = fanout.Csv(source).limit(count)
        return await fanout.start(
            client, processor, reader, id=id, task_queue=QUEUE, params={"hold": hold}, **options
        )

    async with await start_dev_server() as server:
        assert server.ui_url is not None
        client = await Client.connect(server.address, plugins=[plugin])
        stop, ready = asyncio.Event(), asyncio.Event()
        worker = asyncio.create_task(
            run_worker(client, QUEUE, stop=stop, ready=ready.set, shutdown_timeout=5.0)
        )
        await ready.wait()
        failed = await fanout.start(
            client, "thumbnail", fanout.Csv(source), id="unknown-size", task_queue=QUEUE, params={"size": 64}
        )
        with pytest.raises(fanout.RunFailed):
            await failed.result()
        ended = await start("samples", 50, 10**9)
        await ended.result()
        large = await start(
            "thumbnails", 8_000, HELD, partition_size=1000, batch_size=250, max_concurrency=1000
        )
        paused = await start("night-run", 500, 130, batch_size=100)
        grouped = await start(ODD, 60, 17, partition_size=5, max_children=3)
        await eventually(lambda: _settled(large, HELD // 250 * 250))
        await eventually(lambda: _settled(grouped, 15))
        await eventually(lambda: _settled(paused, 100))
        await paused.pause(reason="the disk is being changed")
        yield Scene(server.ui_url, client, large, paused, grouped, ended, failed)
        gate.set()
        stop.set()
        await worker


async def _settled(run: fanout.Run, count: int) -> bool:
    return (await run.progress()).done >= count
