"""Worker processes as an operator has them: the real command, known by the ids of its processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.jobs import LINE, LOG_VARIABLE
from tests.waiting import eventually

HERE = Path(__file__).parents[2]
MODULE = "tests.faults.jobs"
READY_WITHIN = 60.0
GRACE = 20.0


@dataclass
class Command:
    """One `fanout worker` command.

    Attributes:
        process: The command's own process.
        log: What it writes.
        processes: How many worker processes it runs.
    """

    process: subprocess.Popen[bytes]
    log: Path
    processes: int

    def events(self, name: str) -> list[dict[str, object]]:
        """Return what it has logged under a name."""
        wanted = f'"{name}"'
        lines = (line for line in self.log.read_text(errors="replace").splitlines() if wanted in line)
        return [event for event in map(_parsed, lines) if event.get("event") == name]

    @property
    def workers(self) -> list[int]:
        """The ids of its worker processes that poll now."""
        ready = (int(str(event["pid"])) for event in self.events("worker ready"))
        return [pid for pid in ready if _lives(pid)]

    @property
    def ready(self) -> bool:
        """Whether all of its worker processes poll."""
        return len(self.workers) >= self.processes

    def explain(self) -> str:
        """Return the last that it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])


@dataclass
class Fleet:
    """The worker commands of one scenario.

    Attributes:
        folder: Where they write their logs.
        queue: What they poll.
        store: Where outputs go.
        address: Of the server, or of what stands before it.
        environment: Further variables of theirs.
        memory: Bytes of address space of each process; None for no limit.
        commands: All that were started.
    """

    folder: Path
    queue: str
    store: str
    address: str
    environment: dict[str, str] = field(default_factory=dict)
    memory: int | None = None
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calls = self.folder / "calls"
        self.calls.mkdir(parents=True, exist_ok=True)

    async def start(self, processes: int = 1, *, within: Sequence[str] = ()) -> Command:
        """Start a command, and return when all of its processes poll.

        Args:
            processes: How many it has.
            within: What runs it somewhere else, such as `ip netns exec HOST`.
        """
        command = self._spawn(processes, within)
        await self._until_ready(command)
        return command

    async def start_many(self, commands: int) -> list[Command]:
        """Start several commands of one process each."""
        started = [self._spawn(1) for _ in range(commands)]
        for command in started:
            await self._until_ready(command)
        return started

    async def _until_ready(self, command: Command) -> None:
        try:
            await eventually(lambda: command.ready or command.process.poll() is not None, within=READY_WITHIN)
            assert command.process.poll() is None
        except AssertionError:
            raise AssertionError(f"a worker does not come up:\n{command.explain()}") from None

    def _spawn(self, processes: int, within: Sequence[str] = ()) -> Command:
        log = self.folder / f"worker-{len(self.commands)}.log"
        line = [*within, sys.executable, "-m", "fanout.cli", "worker", MODULE, "--processes", str(processes)]
        line += ["--address", self.address, "--task-queue", self.queue, "--store", self.store]
        line += ["--allow-root", str(self.folder), "--shutdown-timeout", f"{GRACE:g}"]
        if self.memory is not None:
            line = ["sh", "-c", f'ulimit -v {self.memory // 1024}; exec "$@"', "sh", *line]
        with log.open("wb") as output:
            process = subprocess.Popen(
                line,
                cwd=HERE,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        command = Command(process, log, processes)
        self.commands.append(command)
        return command

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "FANOUT_"))}
        return {**kept, LOG_VARIABLE: str(self.calls), **self.environment}

    # ---- faults

    @property
    def workers(self) -> list[int]:
        """The ids of all worker processes that poll now."""
        return [pid for command in self.commands for pid in command.workers]

    async def kill_one(self, dice: random.Random) -> int:
        """Kill a worker process, any one that polls; waits for one where all are just being started."""
        await eventually(lambda: self.workers, within=READY_WITHIN)
        pid = dice.choice(sorted(self.workers))
        _send(pid, signal.SIGKILL)
        return pid

    def kill_all(self) -> int:
        """Kill all commands, then their worker processes; returns how many processes that were."""
        pids = [pid for command in self.commands for pid in _tree(command.process)]
        for pid in pids:
            _send(pid, signal.SIGKILL)
        for command in self.commands:
            command.process.wait()
        return len(pids)

    async def stop(self, command: Command) -> int:
        """Send SIGTERM, and return the exit code."""
        command.process.terminate()
        with contextlib.suppress(AssertionError):
            await eventually(lambda: command.process.poll() is not None, within=GRACE + 10)
        return -1 if command.process.poll() is None else command.process.returncode

    async def close(self) -> None:
        """End everything that still lives."""
        living = [command for command in self.commands if command.process.poll() is None]
        pids = [pid for command in living for pid in _tree(command.process)]
        for pid in pids:
            _send(pid, signal.SIGCONT)
        await asyncio.gather(*(self.stop(command) for command in living))
        for pid in pids:
            _send(pid, signal.SIGKILL)
        for command in living:
            command.process.wait()

    # ---- what was called

    def count_calls(self) -> int:
        """Return how many calls of the processor began."""
        size = len(LINE % (0, 0))
        return sum(path.stat().st_size for path in self.calls.iterdir()) // size

    def calls_of(self) -> Mapping[int, int]:
        """Return how many calls there were of each item."""
        found: dict[int, int] = {}
        for path in self.calls.iterdir():
            for line in path.read_bytes().splitlines():
                index = int(line.split()[0])
                found[index] = found.get(index, 0) + 1
        return found

    def deaths(self) -> int:
        """Return how many worker processes were started again by their commands."""
        return sum(len(c.events("a worker process ended; starting another")) for c in self.commands)


def _parsed(line: str) -> dict[str, object]:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {}


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _tree(process: subprocess.Popen[bytes]) -> list[int]:
    """Return a process and all below it, the process itself first."""
    if process.poll() is not None:
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        own = psutil.Process(process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]
    return []


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def freeze(pid: int) -> None:
    """Stop a process where it is."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let a stopped process go on."""
    os.kill(pid, signal.SIGCONT)
