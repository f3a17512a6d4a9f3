"""Processes of a Temporal cluster die while hundreds of thousands of items run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.faults.report import Line
from tests.faults.scale import SHORT, dice
from tests.faults.scene import scene
from tools.production.cluster import Cluster

SCALE = dataclasses.replace(
    SHORT,
    name="production",
    items=300_000,
    partition_size=75_000,
    batch_size=500,
    batch_concurrency=50,
    max_concurrency=1_000,
    item_ms=(100, 300),
    history_limit=200,
    heartbeat_timeout=5.0,
    within=420.0,
)
KILLED = ("history", "matching")


async def test_history_and_matching_processes_are_killed_and_started_again(
    production: Cluster, queue: str, line: Line, tmp_path: Path
) -> None:
    async with scene(SCALE, dice(line.scenario), tmp_path, queue, production.address, line) as made:
        await made.fleet.start(2)
        run = await made.start()
        # One of each kind: the other takes over what it did, and the run goes on without it.
        for number, service in enumerate(KILLED):
            await made.reached(0.1 + 0.2 * number)
            dead = made.dice.choice(production.of(service))
            dead.kill()
            line.faults += 1
            await made.reached(0.2 + 0.2 * number)
            dead.start()
        await production.served()
        # All of a kind: nobody is left until they are back, in their old places.
        for number, service in enumerate(KILLED):
            await made.reached(0.6 + 0.1 * number)
            for member in production.of(service):
                member.kill()
                line.faults += 1
            production.start(*production.of(service))
        await made.finish(run)
        await production.served()
