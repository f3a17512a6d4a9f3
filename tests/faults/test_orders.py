"""Orders are given while nobody is there to carry them out."""

from __future__ import annotations

import time

import pytest
from temporalio.service import RPCError

import fanout
from fanout.models import Status
from tests.faults.conftest import PROCESSES
from tests.faults.scene import Scene, until
from tests.faults.server import MortalServer

SOON = 5.0
"""Seconds from the return of the first worker until an order holds."""


async def is_quiet(scene: Scene, run: fanout.Run) -> bool:
    """Say whether no batch of the run is with a worker, or could get to one."""
    for name in scene.partitions():
        try:
            found = await run.client.get_workflow_handle(name).describe()
        except RPCError:
            continue
        if found.raw_description.pending_activities:
            return False
    return True


@pytest.mark.alone  # it measures how soon
async def test_orders_are_given_while_all_workers_are_dead_and_the_server_is_killed(
    arena: Scene, mortal_server: MortalServer
) -> None:
    arena.server = arena.fleet.address = mortal_server.address
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    await arena.reached(0.2)
    arena.line.faults += arena.fleet.kill_all()
    paused = await run.pause(now=True, reason="nobody is there", wait=0)
    changed = await run.update(max_concurrency=20, wait=0)
    await mortal_server.kill()
    await mortal_server.start()
    arena.line.faults += 1

    async def is_carried_out() -> bool:
        taken = {event.id for event in await run.events() if event.taken}
        info = await run.info()
        return (
            {paused.id, changed.id} <= taken and info.status is Status.PAUSED and await is_quiet(arena, run)
        )

    await arena.fleet.start()
    began = time.monotonic()
    await until(is_carried_out)
    assert time.monotonic() - began <= SOON
    called = arena.fleet.count_calls()
    await run.update(max_concurrency=arena.scale.max_concurrency)
    await run.resume()
    effects = [event.effect for event in await run.events()]
    assert effects[1:] == [
        "max_concurrency is 20",
        f"max_concurrency is {arena.scale.max_concurrency}, was 20",
        "resumed",
    ]
    await arena.finish(run)
    assert arena.fleet.count_calls() > called
