"""The installed command in a folder of its own, against the real server, as a user would have it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest

from tests.conftest import TestServer

COMMAND = str(Path(sys.executable).parent / "fanout")

JOBS = '''
import asyncio
from pathlib import Path
import fanout

@fanout.processor
async def double(n: int) -> int:
    return 2 * n

@fanout.processor(retries=0)
async def picky(n: int) -> int:
    if n % 10 == 0:
        raise ValueError(f"{n} is round")
    return n

@fanout.processor(retries=0)
async def name(item: dict, *, greeting: str = "hello") -> str:
    return f"{greeting} {item['name']}"

@fanout.processor(timeout=None)
async def gated(n: int) -> int:
    """Waits until the test opens the gate."""
    while not Path("gate").exists():
        await asyncio.sleep(0.05)
    return n

@fanout.processor(timeout=None)
async def half_gated(n: int) -> int:
    """The items from the 21st on wait for ever."""
    while n > 20:
        await asyncio.sleep(60)
    return n
'''


@dataclass
class Project:
    """A user's folder with a module of processors.

    Attributes:
        folder: The folder.
        queue: The task queue that its commands use by default.
        environment: Of its commands.
    """

    folder: Path
    queue: str
    environment: dict[str, str]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def fanout(
        self, *words: str, stdin: str | None = None, within: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, with nobody at the terminal."""
        return subprocess.run(
            [COMMAND, *words],
            cwd=self.folder,
            env=self.environment,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def spawn(self, *words: str) -> subprocess.Popen[str]:
        """Start the command; its output goes to a file, and what is left of it ends with the test."""
        log = self.folder / f"{words[0]}-{len(self._started)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [COMMAND, *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._started.append(process)
        return process

    def log(self, process: subprocess.Popen[str]) -> str:
        """Return what a spawned command has written so far."""
        number = self._started.index(process)
        [file] = self.folder.glob(f"*-{number}.log")
        return file.read_text()

    def worker(self, *words: str) -> subprocess.Popen[str]:
        """Start a worker, and return when all of its processes poll."""
        process = self.spawn("worker", "jobs", *words)
        count = int(words[words.index("--processes") + 1]) if "--processes" in words else 1
        wait_for(lambda: self.log(process).count('"worker ready"') >= count, lambda: self.log(process))
        return process

    def close(self) -> None:
        """End what is still running."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(
    condition: Callable[[], object], explain: Callable[[], object] = str, within: float = 40
) -> None:
    """Return as soon as the condition holds; fail with an explanation when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:g} s in vain: {explain()}"
        time.sleep(0.05)


def on_terminal(project: Project, *words: str) -> tuple[str, int]:
    """Run the command to its end on a terminal with colours, and return what it showed, and its exit code."""
    terminal = pexpect.spawn(
        COMMAND,
        list(words),
        cwd=str(project.folder),
        env={name: value for name, value in project.environment.items() if name != "NO_COLOR"},
        encoding="utf-8",
        dimensions=(30, 100),
        timeout=60,
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus is not None, f"ended by signal {terminal.signalstatus}"
    return terminal.before or "", terminal.exitstatus


def plain(text: str) -> str:
    """Return what a terminal showed, without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def empty_project(folder: Path) -> Project:
    (folder / "jobs.py").write_text(JOBS)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "FANOUT_"))
    }
    environment = {
        **kept,
        "TEMPORAL_CONFIG_FILE": str(folder / "no-profile.toml"),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    return Project(folder, "fanout", environment)


def connected(empty: Project, dev_server: TestServer) -> Project:
    empty.queue = f"cli-{uuid.uuid4().hex[:8]}"
    empty.environment |= {
        "TEMPORAL_ADDRESS": dev_server.address,
        "TEMPORAL_NAMESPACE": dev_server.namespace,
        "FANOUT_TASK_QUEUE": empty.queue,
    }
    if dev_server.ui_url:
        empty.environment["FANOUT_WEB_URL"] = dev_server.ui_url
    return empty


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Project]:
    """A folder with nothing but a module, and no server named anywhere."""
    project = empty_project(tmp_path)
    yield project
    project.close()


@pytest.fixture
def project(empty: Project, dev_server: TestServer) -> Project:
    """The same, with the tests' server, and a queue that no other test polls."""
    return connected(empty, dev_server)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, dev_server: TestServer) -> Iterator[Project]:
    """One such folder with a worker, which tests share that only need some run: to start one takes a second."""
    project = connected(empty_project(tmp_path_factory.mktemp("served")), dev_server)
    project.worker()
    yield project
    project.close()


@pytest.fixture
def run_id() -> str:
    """An id that no other run of the server has."""
    return f"run-{uuid.uuid4().hex[:8]}"
