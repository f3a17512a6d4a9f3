"""Worker processes of a test, and what they write down of their items."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from tests.integration.engine import Engine


class Workers:
    """Worker processes of one test."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.log = engine.folder / "log"
        self.log.mkdir()
        self.running: list[asyncio.subprocess.Process] = []

    async def start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.processors_in_workers"),
            *(self.engine.server.address, self.engine.queue, str(self.engine.folder)),
            env={**os.environ, "FANOUT_TEST_LOG": str(self.log)},
            stdout=asyncio.subprocess.PIPE,
        )
        self.running.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    async def stop(self) -> None:
        for process in self.running:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        await asyncio.gather(*(process.wait() for process in self.running))

    def intervals(self) -> list[tuple[int, int, int]]:
        """Return begin, end and index of every item that ended."""
        lines = [line for path in self.log.glob("*.log") for line in path.read_text().splitlines()]
        return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in lines)]

    def clear(self) -> None:
        for path in self.log.glob("*.log"):
            path.unlink()
