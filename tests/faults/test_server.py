"""The Temporal server dies."""

from __future__ import annotations

from tests.faults.conftest import PROCESSES
from tests.faults.scene import Scene
from tests.faults.server import MortalServer


async def test_the_server_is_killed_and_started_again_on_its_database(
    arena: Scene, mortal_server: MortalServer
) -> None:
    arena.server = arena.fleet.address = mortal_server.address
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    async for _ in arena.moments(arena.scale.faults):
        await mortal_server.kill()
        await mortal_server.start()
    await arena.finish(run)
