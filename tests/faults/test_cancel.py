"""A run is canceled in the middle, while its workers die."""

from __future__ import annotations

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

import fanout
from tests.faults.conftest import PROCESSES
from tests.faults.files import at
from tests.faults.scene import Scene, continued, until

TOLD = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def is_told(client: Client, workflow_id: str) -> bool:
    """Say whether a workflow knows that it is to end."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return any(event.event_type == TOLD for event in history.events)


async def test_a_run_is_canceled_in_the_middle_while_a_worker_is_killed(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    await arena.reached(0.5)
    await run.cancel(reason="enough")
    # From here on it ends early, whoever holds it.
    await until(lambda: is_told(run.client, next(iter(arena.partitions()))))
    await arena.fleet.kill_one(arena.dice)
    arena.line.faults += 1
    with pytest.raises(fanout.RunFailed) as caught:
        await arena.result(run)
    result = caught.value.result
    assert result is not None
    assert result.status == "CANCELED"
    assert result.not_run > 0
    # What was committed is published, and the library reads the same.
    verdict = arena.judge(at(result.output), complete=False)
    assert len(verdict.rows["results"]) == result.succeeded > 0
    assert {row.index async for row in run.results()} == set(verdict.rows["results"])
    assert any([await continued(run.client, name) for name in arena.partitions()])
