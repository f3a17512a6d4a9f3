"""Workers that are started and stopped by what waits in their queue."""

from __future__ import annotations

import dataclasses

from tests.faults.conftest import Stage
from tests.faults.items import make
from tests.faults.scale import Scale
from tests.faults.scaler import Scaler
from tests.waiting import eventually

MOST = 3
SLOTS = 4
"""Batches of a worker at once: what it does not take is what the scaler sees."""


async def test_workers_come_and_go_with_the_backlog(stage: Stage, scale: Scale) -> None:
    async with stage() as made:
        made.fleet.environment["FANOUT_MAX_BATCHES"] = str(SLOTS)
        client = await made.client()
        scaler = Scaler(client, made.fleet, made.queue, target=SLOTS, least=1, most=MOST, window=2.0)
        slow = dataclasses.replace(scale, item_ms=(300, 600))
        # A few batches more than all workers take: with one worker there is work for all of them, with all of them for
        # one. What a stopped worker did not hand back would wait far longer than the run may take.
        run = await made.start(
            make(slow, made.dice),
            max_concurrency=(MOST + 1) * SLOTS * scale.batch_concurrency,
            heartbeat_timeout=scale.within,
        )
        async with scaler.scaling():
            await made.finish(run)
            await eventually(lambda: len(scaler.workers) == 1, within=30)
        assert scaler.started >= MOST
        early = [calls for calls in scaler.stopped if calls < 0.9 * scale.items]
        made.line.faults = len(early)
        assert early, "none was stopped while the run went on"
        assert made.line.again == 0
