"""What people and retention do to a run's workflows, its id and its source."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

import fanout
from tests.faults.conftest import PROCESSES
from tests.faults.files import at
from tests.faults.fleet import freeze, thaw
from tests.faults.items import make, write
from tests.faults.scene import Scene, continued, until
from tests.faults.server import MortalServer


async def reset(client: Client, workflow_id: str, choose: Callable[[Sequence[int]], int]) -> None:
    """Reset a workflow to a moment of its present execution, as Temporal Web does.

    Args:
        client: Of the server.
        workflow_id: Of the workflow.
        choose: Chooses from the events to which it can be reset, in order.
    """
    handle = client.get_workflow_handle(workflow_id)
    await until(lambda: completed_decisions(client, workflow_id))
    moments = await completed_decisions(client, workflow_id)
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(
                workflow_id=workflow_id, run_id=(await handle.describe()).run_id
            ),
            reason="to see what happens",
            workflow_task_finish_event_id=choose(moments),
            request_id=uuid.uuid4().hex,
        )
    )


async def completed_decisions(client: Client, workflow_id: str) -> list[int]:
    """Return the events of the present execution to which it can be reset, but not the first one."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    return [event.event_id for event in history.events if event.event_type == kind][1:]


async def forget(client: Client, workflow_id: str) -> None:
    """Delete a workflow execution that has ended, as retention does."""
    execution = WorkflowExecution(workflow_id=workflow_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )
    await until(lambda: is_forgotten(client, workflow_id))


async def is_forgotten(client: Client, workflow_id: str) -> bool:
    """Say whether the server knows nothing of a workflow any more."""
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False


async def finish_after_reset(arena: Scene) -> None:
    """Judge a run one of whose executions was terminated by a reset."""
    # The handle of before would follow the execution that was reset.
    run = fanout.get_run(await arena.client(), arena.queue)
    await arena.inspect(run, await arena.result(run), stuck=False)


async def test_the_root_is_reset_in_the_middle(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start(watched=False)
    await arena.reached(0.2)
    # To where its partitions live already, and to where it has yet to start them.
    await reset(run.client, run.id, max)
    await arena.reached(0.5)
    await reset(run.client, run.id, min)
    arena.line.faults += 2
    await finish_after_reset(arena)


async def test_a_partition_is_reset_in_the_middle(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start(watched=False)
    await arena.reached(0.4)
    await reset(run.client, next(iter(arena.partitions())), arena.dice.choice)
    arena.line.faults += 1
    await finish_after_reset(arena)


async def test_the_same_id_is_started_again_while_a_zombie_of_the_first_run_lives(arena: Scene) -> None:
    first_worker, *_ = await arena.fleet.start_many(PROCESSES)
    first = await arena.start()
    await arena.reached(0.3)
    zombie = first_worker.workers[0]
    freeze(zombie)
    await first.terminate()
    arena.line.faults += 2
    # Other items under the same indexes: a row of the first run among them would have another checksum.
    run = await arena.start(if_exists="new")
    asyncio.get_running_loop().call_later(1.0, thaw, zombie)
    await arena.finish(run)
    arena.line.again = 0  # calls of two runs cannot be told apart


async def test_retention_has_removed_the_root_before_the_run_is_read_and_continued(
    arena: Scene, mortal_server: MortalServer
) -> None:
    arena.server = arena.fleet.address = mortal_server.address
    await arena.fleet.start(PROCESSES)
    items = make(arena.scale, arena.dice)
    half = arena.scale.partition_size
    first = await arena.start(items, limit=half)
    result = await arena.result(first)
    await arena.assert_continued(first, half)
    verdict = arena.judge(at(result.output), only=range(half))
    await forget(first.client, first.id)
    arena.line.faults += 1
    forgotten = fanout.get_run(await arena.client(), first.id)
    assert {row.index async for row in forgotten.results()} == set(verdict.rows["results"])
    assert {row.index async for row in forgotten.failures()} == set(verdict.rows["failures"])
    rest = await arena.start(items, continue_run=True)
    again = await arena.result(rest)
    both = arena.judge(at(again.output), only=range(half, len(items)), before=verdict)
    whole = set(verdict.rows["results"]) | set(both.rows["results"])
    assert {row.index async for row in rest.results()} == whole


async def test_the_source_is_changed_in_the_middle(arena: Scene) -> None:
    await arena.fleet.start(PROCESSES)
    run = await arena.start()
    await arena.reached(0.5)
    names = [name for name in arena.partitions() if await continued(run.client, name)]
    other = write(arena.folder / "other.jsonl", make(arena.scale, arena.dice))
    os.replace(other, arena.source)  # noqa: PTH105 - in one step, as an editor does
    arena.line.faults += 1
    with pytest.raises(fanout.RunFailed, match=arena.source.name) as caught:
        await arena.result(run)
    assert "changed" in str(caught.value)
    assert caught.value.status == "FAILED"
    assert names, "nothing continued as new before"
