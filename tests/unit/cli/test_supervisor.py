from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fanout.cli import supervisor as module
from fanout.cli.supervisor import Supervisor, describe_exit, pause_after
from tests.waiting import eventually

# A child that says its process id, and ends well when it is asked to.
GOOD = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
signal.pause()
"""


class Children:
    """A supervisor over small programs, and what it told."""

    def __init__(self, tmp_path: Path, code: str, processes: int = 1, grace: float = 10.0) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._file = tmp_path / "pids"
        self.supervisor = Supervisor(
            [sys.executable, "-c", code, str(self._file)],
            processes,
            tell=lambda event, **details: self.told.append((event, details)),
            grace=grace,
        )

    def pids(self) -> list[int]:
        return [int(line) for line in self._file.read_text().split()] if self._file.exists() else []


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def test_pauses_grow_to_a_bound() -> None:
    pauses = [pause_after(deaths) for deaths in range(1, 50)]
    assert pauses == sorted(pauses)
    assert pauses[0] == module.FIRST_PAUSE
    assert pauses[-1] == module.LONGEST_PAUSE


@pytest.mark.parametrize(
    ("code", "text"), [(-9, "killed by SIGKILL"), (1, "exit code 1"), (-250, "exit code -250")]
)
def test_ends_are_described(code: int, text: str) -> None:
    assert describe_exit(code) == text


async def test_all_processes_run_and_end_together_when_asked(tmp_path: Path) -> None:
    children = Children(tmp_path, GOOD, processes=2)
    running = asyncio.create_task(children.supervisor.run())
    await eventually(lambda: len(children.pids()) == 2)
    children.supervisor.stop()
    assert await running == 0
    assert len(children.pids()) == 2


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    children = Children(tmp_path, GOOD)
    running = asyncio.create_task(children.supervisor.run())
    await eventually(lambda: len(children.pids()) == 1)
    os.kill(children.pids()[0], signal.SIGKILL)
    await eventually(lambda: len(children.pids()) == 2)
    children.supervisor.stop()
    assert await running == 0
    assert ("killed by SIGKILL") in [details.get("how") for _, details in children.told]


@pytest.mark.parametrize("code", [2, 6])
async def test_a_usage_error_at_the_first_start_ends_them_all(tmp_path: Path, code: int) -> None:
    children = Children(tmp_path, f"raise SystemExit({code})", processes=3)
    assert await children.supervisor.run() == code


async def test_a_process_that_does_not_end_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KILL_AFTER", 0.1)
    stubborn = GOOD.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    children = Children(tmp_path, stubborn, grace=0.1)
    running = asyncio.create_task(children.supervisor.run())
    await eventually(children.pids)
    children.supervisor.stop()
    assert await running == 0


async def test_a_second_request_kills_at_once(tmp_path: Path) -> None:
    stubborn = GOOD.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    children = Children(tmp_path, stubborn, grace=60)
    running = asyncio.create_task(children.supervisor.run())
    await eventually(children.pids)
    children.supervisor.stop()
    children.supervisor.kill()
    assert await running == 0
