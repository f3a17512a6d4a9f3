"""Workers on three hosts, the server on a fourth, the store on a fifth, and a cable that is pulled."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fanout.storage import objects, stores
from tests.faults.fleet import Command, Fleet
from tests.faults.report import Line
from tests.faults.scale import SHORT, dice
from tests.faults.scene import scene
from tests.production.hosts import Host, hosts
from tests.s3server import CREDENTIALS, client_of
from tests.waiting import eventually
from tools.production.cluster import cluster
from tools.services import free_port, process

LATENCY = 0.005
"""Seconds from one host to another."""

WORKERS = ("worker-1", "worker-2", "worker-3")
BUCKET = "hosts"
SCALE = dataclasses.replace(
    SHORT,
    name="production",
    items=6_000,
    partition_size=2_000,
    batch_size=40,
    max_concurrency=90,
    item_ms=(100, 300),
    within=240.0,
)


@pytest.fixture
def network() -> Iterator[dict[str, Host]]:
    with hosts("server", "store", *WORKERS, latency=LATENCY) as made:
        yield made


@pytest.fixture
async def store(network: dict[str, Host], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """An S3 server on a host of its own; the clients of this process know where."""
    host, port = network["store"], free_port()
    address = f"{host.address}:{port}"
    with process(
        [*host.within, sys.executable, "-m", "tests.production.store", host.address, str(port), BUCKET]
    ):
        await eventually(lambda: listens(host.address, port), within=30)
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT": f"http://{address}"}.items():
            monkeypatch.setenv(name, value)
        _forget()
        yield address
        _forget()


def _forget() -> None:
    objects._bucket.cache_clear()
    stores._open.cache_clear()


def listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def calls(fleet: Fleet, command: Command) -> int:
    """Return how much the workers of a command have written of the calls that they have begun."""
    files = (fleet.calls / f"{pid}.log" for pid in command.workers)
    return sum(file.stat().st_size for file in files if file.exists())


async def test_a_host_is_cut_off_in_the_middle_and_comes_back(
    network: dict[str, Host], store: str, queue: str, line: Line, tmp_path: Path
) -> None:
    server = network["server"]
    place = {"store": f"s3://{BUCKET}/{queue}", "s3": client_of(store), "far": True}
    async with (
        cluster(tmp_path, host=server.address, within=server.within) as temporal,
        scene(SCALE, dice(line.scenario), tmp_path, queue, temporal.address, line, **place) as made,
    ):
        made.fleet.environment |= {**CREDENTIALS, "AWS_ENDPOINT": f"http://{store}"}
        commands = [await made.fleet.start(within=network[name].within) for name in WORKERS]
        run = await made.start()

        await made.reached(0.3)
        assert all(calls(made.fleet, command) for command in commands)
        network[WORKERS[1]].cut_off()
        line.faults += 1
        began = time.monotonic()
        # What it has in hand it ends, for nobody; after the heartbeat timeout that is given to the others, who go on.
        await eventually(lambda: time.monotonic() - began > 2 * SCALE.heartbeat_timeout)
        await made.reached(0.5)
        alone = calls(made.fleet, commands[1])
        await made.reached(0.6)
        assert calls(made.fleet, commands[1]) == alone

        network[WORKERS[1]].mend()
        # The others leave in order, so what remains is for the one that comes back.
        for command in (commands[0], commands[2]):
            assert await made.fleet.stop(command) == 0, command.explain()
        verdict = await made.finish(run)
        assert calls(made.fleet, commands[1]) > alone

    assert len({row["output"]["pid"] for row in verdict.rows["results"].values()}) == len(WORKERS)
    passed = {name: host.port.frames for name, host in network.items()}
    assert all(passed.values()), passed
