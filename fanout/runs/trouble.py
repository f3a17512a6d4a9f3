"""What keeps a run from going on, in words: asked of the server alone, so that it is known without workers too."""

from __future__ import annotations

import asyncio
import re

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client, WorkflowExecutionDescription

from fanout.wire import WAITING, batch_activity

_UNREGISTERED = re.compile(
    r"Activity function (?P<type>.+?)(?: for workflow .+)? is not registered on this worker"
)
_BATCH = batch_activity("")

_SEVERAL = 3
"""Attempts of a workflow task after which it is no accident: one or two fail where much happens at once."""
_LAST_EVENTS = 20


async def find_trouble(client: Client, run_id: str) -> str | None:
    """Return what an activity of a run waits for, or why it or a workflow task is being repeated; None where none is.

    Args:
        client: Any Temporal client.
        run_id: The run's id; the workflows below it are looked at as well, level by level.
    """
    level, known = [run_id], {run_id}
    while level:
        found = await _describe(client, level)
        pending = [one for description in found for one in description.raw_description.pending_activities]
        for told in await asyncio.gather(*(_trouble(client, one) for one in pending)):
            if told is not None:
                return told
        for told in await asyncio.gather(*(_stuck(client, description) for description in found)):
            if told is not None:
                return told
        children = {c.workflow_id for d in found for c in d.raw_description.pending_children} - known
        known |= children
        level = sorted(children)
    return None


async def _describe(client: Client, workflow_ids: list[str]) -> list[WorkflowExecutionDescription]:
    asked = (client.get_workflow_handle(name).describe() for name in workflow_ids)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return [answer for answer in answers if not isinstance(answer, BaseException)]


async def _stuck(client: Client, description: WorkflowExecutionDescription) -> str | None:
    """Return why the workflow task of a workflow fails again and again."""
    attempt = description.raw_description.pending_workflow_task.attempt
    if attempt < _SEVERAL:
        return None
    # Only the first of these failures stands in the history, so it is among the last events.
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=description.id, run_id=description.run_id),
        maximum_page_size=_LAST_EVENTS,
    )
    answer = await client.workflow_service.get_workflow_execution_history_reverse(request)
    for event in answer.history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            message = event.workflow_task_failed_event_attributes.failure.message
            return (
                f"the workflow code of {description.id} fails (attempt {attempt}): {message}; "
                "a version of the workers that fits goes on from here"
            )
    return None


async def _trouble(client: Client, pending: PendingActivityInfo) -> str | None:
    name = pending.activity_type.name
    waiting = await _waiting(client, pending)
    if waiting is not None:
        return f"{name} waits for {waiting}"
    if not pending.HasField("last_failure"):
        return None
    return f"{name} is being repeated (attempt {pending.attempt}): {_reason(pending)}"


async def _waiting(client: Client, pending: PendingActivityInfo) -> str | None:
    """Return what an activity says in its heartbeats that it waits for."""
    # Details outlive the attempt that sent them.
    running = pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    if not running or not pending.HasField("heartbeat_details"):
        return None
    try:
        details = await client.data_converter.decode(list(pending.heartbeat_details.payloads))
    except Exception:
        # A codec that this client does not have: that is no news of the run.
        return None
    said = details[0].get(WAITING) if details and isinstance(details[0], dict) else None
    return said if said and isinstance(said, str) else None


def _reason(pending: PendingActivityInfo) -> str:
    message = pending.last_failure.message
    unregistered = _UNREGISTERED.search(message)
    if unregistered is None:
        return message
    worker = f"worker {pending.last_worker_identity}" if pending.last_worker_identity else "a worker"
    name = unregistered["type"]
    if not name.startswith(_BATCH):
        return f"{worker} does not know {name!r}: is it a worker of fanout? (its client needs fanout.Plugin)"
    return (
        f"{worker} has no processor {name.removeprefix(_BATCH)!r}: start one that has it on this queue, "
        "or stop the one that has not"
    )
