"""A peer as this side sees it: a process with an interpreter of its own, that does one job after the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from bench.peers.protocol import Job

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-peers/bin/python"

ENVIRONMENT = {
    # Reports to nobody, …
    "RAY_USAGE_STATS_ENABLED": "0",
    # … and listens on the loopback address alone: it calls this "no cluster", which is the default elsewhere.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}

READY_WITHIN = 90.0
RUN_WITHIN = 600.0
STOP_WITHIN = 30.0
LEFT_WITHIN = 5.0
"""Seconds that what a peer has started may outlive it."""

Ask = Callable[[Job], Awaitable[float]]
"""Lets a peer do a job; returns the seconds."""


@asynccontextmanager
async def peer(module: str, warm_up: Job, log: Path) -> AsyncIterator[Ask]:
    """Run a peer while the block runs; warm when it begins.

    Args:
        module: Of `bench.peers`.
        warm_up: Its first job.
        log: File for what it says.

    Raises:
        RuntimeError: It does not come up, or ends before its time.
    """
    if not PYTHON.exists():
        raise RuntimeError("it is not installed: run `make peers`")
    with log.open("wb") as output:
        running = await asyncio.create_subprocess_exec(
            *(str(PYTHON), "-m", f"bench.peers.{module}", warm_up.to_line()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            # Ctrl-C is for the benchmark, which then stops its peers in order.
            start_new_session=True,
        )

    async def said(within: float) -> str:
        assert running.stdout is not None
        async with asyncio.timeout(within):
            line = await running.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended: {_last_words(log)}")
        return line.decode().strip()

    async def ask(job: Job) -> float:
        assert running.stdin is not None
        running.stdin.write(job.to_line().encode() + b"\n")
        return float(await said(RUN_WITHIN))

    try:
        assert await said(READY_WITHIN) == "ready"
        yield ask
    finally:
        await _stop(running)


async def versions() -> dict[str, str]:
    """Return the versions of what the peers' environment holds."""
    if not PYTHON.exists():
        return {}
    listing = await asyncio.create_subprocess_exec(
        *(str(PYTHON), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await listing.communicate()
    return {one["name"]: one["version"] for one in json.loads(said)}


async def _stop(running: asyncio.subprocess.Process) -> None:
    """End a peer, and see to it that none of its processes stays."""
    try:
        started = psutil.Process(running.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    assert running.stdin is not None
    running.stdin.close()
    try:
        await asyncio.wait_for(running.wait(), STOP_WITHIN)
    except TimeoutError:
        running.kill()
        await running.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, started, timeout=LEFT_WITHIN)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a word"
