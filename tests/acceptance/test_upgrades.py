"""Versions that people run, as wheels, with today's: runs begun by one are ended by the other, and by both at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

import fanout
from fanout.options import KNOWN_TO_ALL
from tests.acceptance.conftest import Project, wait_for
from tests.integration.engine import assert_never_stuck, done, tree

RELEASES = sorted((Path(__file__).parents[1] / "replay" / "releases").glob("*.whl"))
NEWEST = RELEASES[-1]
ITEMS = 100

JOBS = """
import asyncio, os
from pathlib import Path
import fanout

@fanout.processor(timeout=None)
async def gated(n: int) -> str:
    Path(f"begun-{n}").touch()
    while n >= 10 and not Path("gate").exists():
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    fanout_is = Path(__import__("fanout").__file__).parent
    return "today" if os.environ["TODAY"] in str(fanout_is) else "release"
"""

TREE = [
    *("--partition-size", "20", "--batch-size", "5", "--batch-concurrency", "5"),
    *("--max-concurrency", "20", "--heartbeat-timeout", "3"),
]


def environment(project: Project, release: Path | None, folder: Path) -> dict[str, str]:
    """Return the variables under which `python -m fanout.cli` is a release, or today's version for None."""
    made = project.environment | {"TODAY": str(Path(fanout.__file__).parent)}
    if release is not None:
        unpacked = folder / release.stem
        if not unpacked.exists():
            with zipfile.ZipFile(release) as wheel:
                wheel.extractall(unpacked)
        made["PYTHONPATH"] = str(unpacked)
    return made


class Fleet:
    """Commands and workers of two versions in a user's folder."""

    def __init__(self, project: Project, release: Path, folder: Path) -> None:
        (project.folder / "jobs.py").write_text(JOBS)
        self.project = project
        self.of = {
            "release": environment(project, release, folder),
            "today": environment(project, None, folder),
        }
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, version: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.project.folder / f"{version}-{words[0]}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "fanout.cli", *words],
                cwd=self.project.folder,
                env=self.of[version],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def work(self, version: str) -> None:
        """Start a worker, and return when it polls."""
        self.workers[version] = self.command(version, "worker", "jobs", "--shutdown-timeout", "2")
        log = self.project.folder / f"{version}-worker.log"
        wait_for(lambda: '"worker ready"' in log.read_text(), log.read_text)

    def stop(self, version: str, number: signal.Signals) -> None:
        worker = self.workers.pop(version)
        if number is signal.SIGKILL:
            # Its process as well, which would end in order.
            lines = (self.project.folder / f"{version}-worker.log").read_text().splitlines()
            started = [json.loads(line) for line in lines if "worker process started" in line]
            worker.kill()
            os.kill(started[-1]["pid"], signal.SIGKILL)
        worker.send_signal(number)
        worker.wait(30)

    def start(self, version: str, run_id: str) -> None:
        """Start a run of several partitions, and return when it is in its middle."""
        starting = self.command(version, "run", "jobs:gated", str(ITEMS), "--id", run_id, "--detach", *TREE)
        said = self.project.folder / f"{version}-run.log"
        assert starting.wait(60) == 0, said.read_text()
        wait_for(lambda: len(list(self.project.folder.glob("begun-*"))) >= 20)

    async def end(self, run_id: str) -> Counter[str]:
        """Let it end, check that each item has one result, and return whose they are."""
        (self.project.folder / "gate").touch()
        client = await Client.connect(self.project.environment["TEMPORAL_ADDRESS"])
        ended = await done(fanout.get_run(client, run_id))
        assert sorted(ended.results) == list(range(ITEMS))
        return Counter(ended.results.values())

    def close(self) -> None:
        for version in list(self.workers):
            self.stop(version, signal.SIGTERM)


@pytest.fixture
def fleet(
    request: pytest.FixtureRequest, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    made = Fleet(project, getattr(request, "param", NEWEST), tmp_path_factory.mktemp("releases"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("fleet", "number"),
    [(release, signal.SIGTERM) for release in RELEASES] + [(NEWEST, signal.SIGKILL)],
    indirect=["fleet"],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else str(value).split("-")[-4],
)
async def test_a_run_of_a_release_is_ended_by_todays_workers(
    fleet: Fleet, number: signal.Signals, run_id: str
) -> None:
    fleet.work("release")
    fleet.start("release", run_id)
    fleet.stop("release", number)
    fleet.work("today")
    whose = await fleet.end(run_id)
    assert whose["today"] >= 20
    client = await Client.connect(fleet.project.environment["TEMPORAL_ADDRESS"])
    assert_never_stuck(await tree(client, run_id))


@pytest.mark.parametrize("starter", ["release", "today"])
async def test_workers_of_both_versions_run_it_together(fleet: Fleet, starter: str, run_id: str) -> None:
    # Who plans it says what the others have to understand.
    fleet.work(starter)
    fleet.start(starter, run_id)
    fleet.work("today" if starter == "release" else "release")
    assert set(await fleet.end(run_id)) == {"release", "today"}


async def test_a_rollback_is_an_upgrade(fleet: Fleet, run_id: str) -> None:
    fleet.work("today")
    fleet.start("today", run_id)
    fleet.stop("today", signal.SIGTERM)
    fleet.work("release")
    assert (await fleet.end(run_id))["release"] >= 20


def test_what_all_workers_are_told_of_options_is_what_the_release_knows() -> None:
    with zipfile.ZipFile(NEWEST) as wheel:
        source = wheel.read("fanout/options.py").decode()
    assert set(re.findall(r"^    (\w+): ", source, re.MULTILINE)) >= KNOWN_TO_ALL
