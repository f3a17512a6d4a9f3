"""The stage of a benchmark: a dev server in memory, worker processes, a client, a folder for outputs; all its own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from temporalio.client import Client

import fanout
from bench.items import DATA
from bench.processes import cpu_seconds
from fanout.devserver import start_dev_server
from fanout.runs.info import count_pollers
from fanout.storage.roots import to_path

QUEUE = "bench"
READY_WITHIN = 60.0
STOP_WITHIN = 30.0
RUN_WITHIN = 1800.0
"""Seconds after which a run is given up: a workflow task that fails is tried again for ever."""

_POLL = 0.05


@dataclass(frozen=True)
class Timed:
    """One run, and what it took.

    Attributes:
        result: What the run says of itself.
        seconds: From the call of `start` to the return of `result`.
        cpu_seconds: Processor time of workers, server and this process in between.
    """

    result: fanout.RunResult
    seconds: float
    cpu_seconds: dict[str, float]

    @property
    def output(self) -> Path:
        """Folder of the run's output."""
        return to_path(self.result.output)


@dataclass(frozen=True)
class Stage:
    """What a benchmark works with.

    Attributes:
        address: Of the server.
        server: Process ids of the server.
        client: Connected to it.
        workers: Process ids of the workers.
        folder: For whatever the benchmark writes; gone at the end.
    """

    address: str
    server: list[int]
    client: Client
    workers: list[int]
    folder: Path

    async def run(self, processor: Any, reader: Any, **arguments: Any) -> Timed:
        """Start a run, wait for its end, and time both."""
        before = self._cpu()
        began = time.perf_counter()
        run = await fanout.start(self.client, processor, reader, task_queue=QUEUE, **arguments)
        async with asyncio.timeout(RUN_WITHIN):
            result = await run.result()
        seconds = time.perf_counter() - began
        used = {name: after - before[name] for name, after in self._cpu().items()}
        return Timed(result, seconds, used)

    def forget(self, run: Timed) -> None:
        """Delete a run's output."""
        shutil.rmtree(run.output, ignore_errors=True)

    def _cpu(self) -> dict[str, float]:
        return {
            "workers": cpu_seconds(self.workers),
            "server": cpu_seconds(self.server),
            "client": cpu_seconds([psutil.Process().pid]),
        }


@asynccontextmanager
async def stage(*, processes: int = 2, options: Sequence[str] = (), db: bool = False) -> AsyncIterator[Stage]:
    """Start a server and workers; stop both and delete everything at the end.

    Args:
        processes: Worker processes.
        options: Further arguments of `fanout worker`.
        db: Whether the server keeps a database file, `temporal.db` in the stage's folder, instead of its memory.
    """
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
        folder = Path(name)
        file = folder / "temporal.db" if db else None
        async with (
            await start_dev_server(ui=False, db=file, log=folder / "server.log") as server,
            staged(folder, server.address, [server.pid], processes=processes, options=options) as here,
        ):
            yield here


@asynccontextmanager
async def staged(
    folder: Path, address: str, server: list[int], *, processes: int = 2, options: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Start workers beside a server that is there; stop them at the end.

    Args:
        folder: For whatever the benchmark writes.
        address: Of the server.
        server: Its process ids.
        processes: Worker processes.
        options: Further arguments of `fanout worker`.
    """
    store = folder / "output"
    client = await fanout.connect(address, plugin=fanout.Plugin([], store=store))
    command = [
        *(sys.executable, "-m", "fanout.cli", "worker", "bench.jobs"),
        *("--processes", str(processes), "--task-queue", QUEUE, "--address", address),
        *("--store", str(store), "--allow-root", str(DATA), "--allow-root", str(folder)),
        *("--log-level", "warning", *options),
    ]
    async with worker_process(command, folder / "workers.log") as pid:
        await polled(client, QUEUE, processes, folder / "workers.log")
        yield Stage(address, server, client, _supervised(pid), folder)


def database_bytes(folder: Path) -> int:
    """Return the size of the server's database file, and of what the database keeps beside it."""
    return sum(file.stat().st_size for file in folder.glob("temporal.db*"))


@asynccontextmanager
async def worker_process(command: Sequence[str], log: Path) -> AsyncIterator[int]:
    """Run a process of ours while the block runs; yields its id."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


async def polled(client: Client, queue: str, workers: int, log: Path) -> None:
    """Wait until so many workers poll a queue.

    Raises:
        RuntimeError: They do not.
    """
    deadline = time.monotonic() + READY_WITHIN
    while await count_pollers(client, queue) < workers:
        if time.monotonic() > deadline:
            said = await asyncio.to_thread(log.read_text)
            raise RuntimeError(f"no {workers} workers after {READY_WITHIN:g} s:\n{said[-2000:]}")
        await asyncio.sleep(_POLL)


def _supervised(pid: int) -> list[int]:
    children = psutil.Process(pid).children(recursive=True)
    return sorted(child.pid for child in children if "--supervised" in child.cmdline())
