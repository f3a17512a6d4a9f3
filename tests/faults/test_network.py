"""The network between workers and server."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import PROCESSES
from tests.faults.scene import Scene
from tests.faults.toxiproxy import Link, Toxiproxy

BLACKOUT = 0.5
"""Of the outage of other scenarios: 30 s in the long form, and always more than a heartbeat timeout."""


def between(arena: Scene, toxiproxy: Toxiproxy) -> Link:
    """Put a proxy between the server and the workers; the client stays beside the server."""
    link = toxiproxy.link("temporal", arena.server)
    arena.fleet.address = link.address
    return link


async def test_the_network_is_slow_and_narrow(arena: Scene, toxiproxy: Toxiproxy) -> None:
    link = between(arena, toxiproxy)
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    async for number in arena.moments(2, 0.1, 0.5):
        if number == 0:
            link.poison("latency", latency=150, jitter=100)
        else:
            link.poison("bandwidth", rate=64)
            link.poison("bandwidth", stream="upstream", rate=64)
    await arena.reached(0.7)
    link.mend()
    await arena.finish(run)


async def test_the_network_resets_connections(arena: Scene, toxiproxy: Toxiproxy) -> None:
    link = between(arena, toxiproxy)
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    async for _ in arena.moments(arena.scale.faults - 1):
        link.poison("reset_peer", timeout=arena.dice.randrange(300))
        await asyncio.sleep(0.5)
        link.mend()
    await arena.finish(run)


async def test_the_network_is_gone_for_longer_than_a_heartbeat_timeout(
    arena: Scene, toxiproxy: Toxiproxy
) -> None:
    link = between(arena, toxiproxy)
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    await arena.reached(0.4)
    link.cut()
    arena.line.faults += 1
    await asyncio.sleep(max(arena.scale.outage * BLACKOUT, 2 * arena.scale.heartbeat_timeout))
    link.mend()
    await arena.finish(run)
