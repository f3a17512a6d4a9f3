"""What the supervisor makes of the pulses of its processes, and of their silence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fanout.cli import pulses as module
from fanout.cli.pulses import Pulses
from fanout.cli.supervisor import Supervisor
from fanout.workers.health import Part, describe
from tests.waiting import eventually


class Time:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def heard(time: Time) -> AsyncIterator[tuple[Pulses, int]]:
    """One process that runs, and the descriptor to which it writes."""
    pulses = Pulses(1, clock=time)
    with pulses.listen(1) as pipe:
        pulses.began(1, 77)
        yield pulses, pipe


async def say(pulses: Pulses, pipe: int, stage: str, trouble: str = "") -> Part:
    """Say it as a process does, in two pieces, and return what is made of it."""
    line = json.dumps({"stage": stage, "trouble": trouble}).encode() + b"\n"
    os.write(pipe, line[:5])
    await asyncio.sleep(0)
    os.write(pipe, line[5:])
    before = pulses.look()
    await eventually(lambda: pulses.look() != before)
    return pulses.look()[0]


async def test_a_process_is_ready_once_it_polls_and_its_server_answers(heard: tuple[Pulses, int]) -> None:
    pulses, pipe = heard
    assert pulses.look() == [Part("process 1 (pid 77)", unready="it starts")]
    assert (await say(pulses, pipe, "starting")).unready == "it does not poll yet"
    assert await say(pulses, pipe, "polling") == Part("process 1 (pid 77)")
    assert (await say(pulses, pipe, "polling", "no answer")) == Part(
        "process 1 (pid 77)", unready="no answer"
    )
    assert (await say(pulses, pipe, "stopping")).unready == "it is shutting down"


async def test_a_process_that_falls_silent_is_unready_and_then_unwell(
    heard: tuple[Pulses, int], time: Time
) -> None:
    pulses, pipe = heard
    await say(pulses, pipe, "polling")
    for later, fails in (
        (module.SILENT_UNREADY, (200, 200)),
        (1, (200, 503)),
        (module.SILENT_UNWELL, (503, 503)),
    ):
        time.now += later
        assert (describe(pulses.look(), ready=False)[0], describe(pulses.look(), ready=True)[0]) == fails
    assert "silent for 71 s" in pulses.look()[0].unwell


async def test_a_process_may_take_its_time_to_start_but_not_for_ever(
    heard: tuple[Pulses, int], time: Time
) -> None:
    pulses, _ = heard
    time.now = module.START_WITHIN
    assert pulses.look()[0].unwell == ""
    time.now += 1
    assert pulses.look()[0].unwell == "it starts, for 301 s by now"


async def test_a_process_that_died_is_unready_until_the_next_one_polls(time: Time) -> None:
    pulses = Pulses(1, clock=time)
    with pulses.listen(1) as pipe:
        await say(pulses, pipe, "polling")
    assert pulses.look() == [Part("process 1", unready="it has died, and is started again")]
    with pulses.listen(1) as pipe:
        pulses.began(1, 78)
        assert pulses.look() == [Part("process 1 (pid 78)", unready="it starts")]
        assert await say(pulses, pipe, "polling") == Part("process 1 (pid 78)")


async def test_processes_that_are_told_to_end_are_well_however_silent(
    heard: tuple[Pulses, int], time: Time
) -> None:
    pulses, _ = heard
    pulses.stopping = True
    time.now = 10_000
    assert pulses.look() == [Part("process 1 (pid 77)", unready="it is shutting down")]


# A child as a worker process is one, in short.
TELLS = """
import asyncio, signal, sys
from fanout.cli import pulses
pulses.EVERY = 0.02
async def live():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    await pulses.keep_telling(int(sys.argv[sys.argv.index("--pulse-to") + 1]), pulses.Pulse("polling"))
try:
    asyncio.run(live())
except RuntimeError:
    pass
"""


async def test_a_process_that_is_stopped_is_noticed_and_its_neighbour_is_not_blamed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "SILENT_UNREADY", 0.5)
    monkeypatch.setattr(module, "SILENT_UNWELL", 0.8)
    pulses = Pulses(2)
    pids: dict[int, int] = {}

    def tell(event: str, *, number: int = 0, pid: int = 0, **_: object) -> None:
        pids.update({number: pid} if pid else {})

    supervisor = Supervisor([sys.executable, "-c", TELLS], 2, tell=tell, grace=5, pulses=pulses)
    running = asyncio.create_task(supervisor.run())
    await eventually(lambda: describe(pulses.look(), ready=True)[0] == 200)
    os.kill(pids[1], signal.SIGSTOP)
    await eventually(lambda: describe(pulses.look(), ready=False)[0] == 503)
    first, second = pulses.look()
    assert "silent" in first.unwell
    assert second == Part(f"process 2 (pid {pids[2]})")
    os.kill(pids[1], signal.SIGCONT)
    await eventually(lambda: describe(pulses.look(), ready=True)[0] == 200)
    supervisor.stop()
    assert await running == 0
