"""Processor time and memory of other processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

import psutil

MIB = 1024 * 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that some processes have used so far, in user and kernel mode."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(used.user + used.system for used in times)


@dataclass
class Memory:
    """The memory of one process over time.

    Attributes:
        at: When each sample was taken, in seconds.
        rss: Resident memory, in bytes.
        uss: Memory that is the process's alone, in bytes.
    """

    at: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    uss: list[int] = field(default_factory=list)

    def growth(self, kind: str = "rss") -> float:
        """Return by which share the median of the last quarter lies above that of the first."""
        sizes: list[int] = getattr(self, kind)
        quarter = max(1, len(sizes) // 4)
        return median(sizes[-quarter:]) / median(sizes[:quarter]) - 1

    def samples_mib(self, kind: str = "rss") -> list[float]:
        """Return the samples in MiB."""
        sizes: list[int] = getattr(self, kind)
        return [round(size / MIB, 2) for size in sizes]


@asynccontextmanager
async def watched(
    pids: Mapping[str, int], every: float = 0.1, *, uss: bool = True
) -> AsyncIterator[dict[str, Memory]]:
    """Sample the memory of some processes while the block runs.

    Args:
        pids: Process ids by a name for people.
        every: Seconds between two samples.
        uss: Whether to sample USS as well, for which the system walks through all pages of a process.
    """
    seen = {name: Memory() for name in pids}
    known = {name: psutil.Process(pid) for name, pid in pids.items()}

    async def sample() -> None:
        began = time.monotonic()
        while True:
            for name, process in known.items():
                seen[name].at.append(round(time.monotonic() - began, 3))
                if uss:
                    used = process.memory_full_info()
                    seen[name].rss.append(used.rss)
                    seen[name].uss.append(used.uss)
                else:
                    seen[name].rss.append(process.memory_info().rss)
            await asyncio.sleep(every)

    sampling = asyncio.create_task(sample())
    try:
        yield seen
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
