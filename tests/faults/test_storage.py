"""The bucket, and the way to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fanout.storage import objects, stores
from tests.faults.conftest import PROCESSES, Stage
from tests.faults.report import Line
from tests.faults.s3 import BUCKET, MoodyServer
from tests.faults.scale import Scale, dice
from tests.faults.scene import Scene
from tests.faults.toxiproxy import Link, Toxiproxy
from tests.s3server import CREDENTIALS


@pytest.fixture
def s3_server(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[MoodyServer]:
    """An S3 server of the scenario's own; the clients of this process go straight to it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = MoodyServer(dice(line.scenario))
    monkeypatch.setenv("AWS_ENDPOINT", f"http://{server.address}")
    _forget()
    yield server
    _forget()
    server.stop()


def _forget() -> None:
    objects._bucket.cache_clear()
    stores._open.cache_clear()


@dataclass
class Far:
    """A scene whose output is in a bucket, and the way that its workers take there."""

    scene: Scene
    server: MoodyServer
    link: Link


@pytest.fixture
async def far(
    stage: Stage,
    scale: Scale,
    s3_server: MoodyServer,
    toxiproxy: Toxiproxy,
    queue: str,
    line: Line,
    undisturbed: Callable[..., Any],
) -> AsyncIterator[Far]:
    """The scene of a scenario with its output in a bucket behind a proxy."""
    store = f"s3://{BUCKET}/{queue}"
    direct = {**CREDENTIALS, "AWS_ENDPOINT": f"http://{s3_server.address}"}
    line.undisturbed = await undisturbed(
        "bucket", scale, store=f"s3://{BUCKET}/undisturbed", s3=s3_server.client, environment=direct
    )
    link = toxiproxy.link("s3", s3_server.address)
    async with stage(store=store, s3=s3_server.client) as made:
        made.fleet.environment |= {**CREDENTIALS, "AWS_ENDPOINT": f"http://{link.address}"}
        await made.fleet.start(PROCESSES)
        yield Far(made, s3_server, link)


async def test_the_bucket_answers_many_requests_with_errors(far: Far) -> None:
    far.server.moods.share = 0.15
    run = await far.scene.start()
    await far.scene.reached(0.9)
    far.server.moods.share = 0.0
    far.scene.line.faults = far.server.moods.faults
    assert far.server.moods.faults
    await far.scene.finish(run)


async def test_the_bucket_is_gone_for_a_while(far: Far) -> None:
    run = await far.scene.start()
    await far.scene.reached(0.4)
    far.link.cut()
    far.scene.line.faults += 1
    await asyncio.sleep(far.scene.scale.outage)
    far.link.mend()
    await far.scene.finish(run)


async def test_the_bucket_is_slow(far: Far) -> None:
    far.link.poison("latency", latency=200, jitter=150)
    far.link.poison("bandwidth", stream="upstream", rate=50)
    far.scene.line.faults += 2
    run = await far.scene.start()
    await far.scene.reached(0.5)
    far.link.mend()
    await far.scene.finish(run)


async def test_connections_to_the_bucket_are_reset_in_the_middle_of_a_put(far: Far) -> None:
    run = await far.scene.start()
    async for _ in far.scene.moments(far.scene.scale.faults, 0.1, 0.7):
        # A connection ends in its first or second object of rows, whichever passes this.
        far.link.poison("limit_data", stream="upstream", bytes=far.scene.dice.randrange(500, 5_000))
        far.link.poison("reset_peer", toxicity=0.2, timeout=far.scene.dice.randrange(50))
        await asyncio.sleep(1.0)
        far.link.mend()
    await far.scene.finish(run)
