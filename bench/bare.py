"""The limit: a bare asyncio loop that reads, validates, awaits, serializes and writes the same rows to a file.

Run as a process of its own, `python -m bench.bare SOURCE TARGET FIRST`: says `ready`, waits for a line, and answers
with the seconds of processor time that it took.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from bench.jobs import noop
from bench.model import Item


async def loop(source: Path, target: Path, first: int) -> None:
    """Run every item of a file.

    Args:
        source: JSON Lines.
        target: Where the rows go.
        first: Index of the first item.
    """
    validate = TypeAdapter(Item).validate_json
    dump = TypeAdapter(int).dump_json
    process = noop.function
    with source.open("rb") as lines, target.open("wb") as rows:
        for index, line in enumerate(lines, first):
            output = await process(validate(line))
            rows.write(b'{"index":%d,"key":"%d","output":%b}\n' % (index, index, dump(output)))


@dataclass(frozen=True)
class Timed:
    """What some bare processes took together."""

    seconds: float
    cpu_seconds: float


async def measure(parts: Sequence[tuple[Path, Path, int]]) -> Timed:
    """Run one process for each part, all at once, and time them without their start.

    Args:
        parts: Source, target and first index of each.
    """
    async with _processes(parts) as running:
        began = time.perf_counter()
        for process in running:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        answers = await asyncio.gather(*(_line(process) for process in running))
        seconds = time.perf_counter() - began
    return Timed(seconds, sum(float(answer) for answer in answers))


@asynccontextmanager
async def _processes(
    parts: Sequence[tuple[Path, Path, int]],
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    running: list[asyncio.subprocess.Process] = []
    try:
        for source, target, first in parts:
            command = [sys.executable, "-m", "bench.bare", str(source), str(target), str(first)]
            running.append(
                await asyncio.create_subprocess_exec(
                    *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
                )
            )
        for process in running:
            assert await _line(process) == "ready"
        yield running
    finally:
        for process in running:
            if process.returncode is None:
                assert process.stdin is not None
                process.stdin.close()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().strip()
    if not line:
        raise RuntimeError(f"a bare process ended with {await process.wait()}")
    return line


def _main() -> None:
    source, target, first = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    before = time.process_time()
    asyncio.run(loop(source, target, first))
    print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    _main()
