"""Worker processes that die, are replaced, or stand still."""

from __future__ import annotations

import asyncio
import time

import pytest
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent

from tests.faults.conftest import PROCESSES
from tests.faults.files import at
from tests.faults.fleet import freeze, thaw
from tests.faults.items import CALLS, make
from tests.faults.scene import Scene
from tests.integration.engine import tree
from tests.waiting import eventually


def timed_out(event: HistoryEvent) -> bool:
    """Say whether an event tells of a batch that went without a sign of life."""
    started = event.activity_task_started_event_attributes
    return (
        event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT
        or started.last_failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_HEARTBEAT
    )


async def test_a_random_worker_is_killed_every_few_seconds(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    async for _ in arena.moments(arena.scale.faults):
        await arena.fleet.kill_one(arena.dice)
    await arena.finish(run)
    # A batch of a killed worker is executed again, and nothing else is.
    assert arena.line.again <= arena.line.faults * arena.scale.max_concurrency * 2


async def test_a_random_worker_is_killed_while_items_wait_for_a_distant_attempt(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start(make(arena.scale, arena.dice, later=20))
    async for _ in arena.moments(arena.scale.faults):
        await arena.fleet.kill_one(arena.dice)
    await arena.finish(run)


async def test_all_workers_are_dead_for_a_while(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    await arena.reached(0.4)
    arena.line.faults = arena.fleet.kill_all()
    await asyncio.sleep(arena.scale.outage)
    await arena.fleet.start(PROCESSES)
    await arena.finish(run)


@pytest.mark.alone  # a worker that is slow to start outlasts the run
async def test_all_workers_are_replaced_one_after_the_other_by_sigterm(arena: Scene) -> None:
    old = await arena.fleet.start_many(PROCESSES)
    # Far longer than the run: whoever waits for it is seen.
    patience = arena.scale.within
    # Fewer in flight, so that the run outlasts the replacement also on a busy machine.
    run = await arena.start(heartbeat_timeout=patience, max_concurrency=arena.scale.max_concurrency // 4)
    await arena.reached(0.1)
    for command in old:
        await arena.fleet.start()
        began = time.monotonic()
        assert await arena.fleet.stop(command) == 0, command.explain()
        assert time.monotonic() - began < 20, "it took longer than its grace"
        arena.line.faults += 1
    assert not (await run.info()).closed, "the run was over before all workers were replaced"
    verdict = await arena.finish(run)
    assert arena.line.seconds < patience
    waited = (await tree(run.client, run.id, (await run.info()).execution)).walk()
    assert not [event for node in waited for event in node.events if timed_out(event)]
    # A deploy takes no attempt from an item: what failed once as it was meant to has had two, all others one.
    for index, row in verdict.rows["results"].items():
        assert row["output"]["attempt"] == CALLS.get(arena.items[index]["do"], 1), row
    assert {row["attempts"] for row in verdict.rows["failures"].values()} == {2}
    assert arena.line.again == 0


async def test_a_worker_stands_still_beyond_its_heartbeat_timeout_and_goes_on(arena: Scene) -> None:
    commands = await arena.fleet.start_many(PROCESSES)
    run = await arena.start()
    zombies = [command.workers[0] for command in commands[:2]]
    for zombie, share in zip(zombies, (0.1, 0.3), strict=True):
        await arena.reached(share)
        freeze(zombie)
        arena.line.faults += 1
        before = arena.fleet.count_calls()
        asyncio.get_running_loop().call_later(arena.scale.heartbeat_timeout * 2, thaw, zombie)
        await eventually(lambda: arena.fleet.count_calls() > before, within=arena.scale.within)  # noqa: B023
    await arena.finish(run)


async def test_a_worker_stands_still_until_its_run_has_ended(arena: Scene) -> None:
    # Each poll that the frozen one has open swallows a workflow task for ten seconds: so one of three, and late.
    commands = await arena.fleet.start_many(3)
    run = await arena.start()
    await arena.reached(0.8)
    zombie = commands[0].workers[0]
    freeze(zombie)
    arena.line.faults += 1
    result = await arena.result(run)
    await arena.inspect(run, result)
    files = at(result.output)
    before = contents(files)
    thaw(zombie)
    # It ends what it had in flight before it ends itself.
    assert await arena.fleet.stop(commands[0]) == 0, commands[0].explain()
    assert contents(files) == before


def contents(files: object) -> dict[str, bytes]:
    """Return all that an output publishes."""
    from tests.faults.files import Folder

    assert isinstance(files, Folder)
    names = [*files.names("results"), *files.names("failures"), "manifest.json"]
    return {name: files.read(name) for name in names}
