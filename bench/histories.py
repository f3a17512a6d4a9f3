"""What a run left in the server: its executions, their events, and the payloads in these."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

SEEN_WITHIN = 30.0
"""Seconds that the server's list may lag behind."""

EVENTS_LIMIT = 10_240
"""Events of one workflow at which the server begins to warn."""

PAYLOAD_LIMIT = 64 * 1024

_PAYLOAD = "temporal.api.common.v1.Payload"
_LOOKS = 3

_BILLABLE = frozenset(
    {
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_MARKER_RECORDED,  # of a local activity
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    }
)


@dataclass(frozen=True)
class Execution:
    """One workflow execution; a chain that continued as new has several."""

    workflow_id: str
    execution: str
    kind: str
    parent: str | None
    events: int
    size: int


async def executions(client: Client, run_id: str, *, at_least: int) -> list[Execution]:
    """Return all executions of a run, as the server lists them, once all have ended.

    Args:
        client: Connected to the server.
        run_id: The run's.
        at_least: How many there are, at least.

    Raises:
        RuntimeError: The server does not list so many.
    """
    deadline = time.monotonic() + SEEN_WITHIN
    before, same = -1, 0
    while True:
        found = [one async for one in client.list_workflows(f"RootWorkflowId = '{run_id}'")]
        ended = all(one.status is not WorkflowExecutionStatus.RUNNING for one in found)
        settled = ended and len(found) >= at_least and len(found) == before
        same, before = same + 1 if settled else 0, len(found)
        if same >= _LOOKS:
            return [_execution(one) for one in found]
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the server lists {len(found)} executions of {run_id}, of at least {at_least}"
            )
        await asyncio.sleep(0.2)


async def billable_actions(client: Client, found: Sequence[Execution]) -> int:
    """Return how many actions Temporal Cloud would bill for some executions; heartbeats leave no trace in them."""
    counted = 0
    for one in found:
        # Starting a child workflow is two: one of the parent, one of the child.
        counted += 1 if one.parent is None else 2
        handle = client.get_workflow_handle(one.workflow_id, run_id=one.execution)
        async for event in handle.fetch_history_events():
            counted += event.event_type in _BILLABLE
    return counted


async def largest_payload(client: Client, found: Sequence[Execution]) -> tuple[int, str]:
    """Return the bytes of the largest payload in some histories, and the type of the event that holds it."""
    largest, where = 0, ""
    for one in found:
        handle = client.get_workflow_handle(one.workflow_id, run_id=one.execution)
        async for event in handle.fetch_history_events():
            for size in payload_sizes(event):
                if size > largest:
                    name = EventType.Name(event.event_type)
                    largest, where = size, name.removeprefix("EVENT_TYPE_").lower()
    return largest, where


def payload_sizes(message: Message) -> Iterator[int]:
    """Yield the sizes of all payloads in a message."""
    if message.DESCRIPTOR.full_name == _PAYLOAD:
        yield message.ByteSize()
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for inner in _messages(field, value):
            yield from payload_sizes(inner)


def _messages(field: Any, value: Any) -> Iterator[Message]:
    if field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            yield from value.values()
    elif isinstance(value, Message):
        yield value
    else:
        yield from value


def _execution(found: WorkflowExecution) -> Execution:
    return Execution(
        workflow_id=found.id,
        execution=found.run_id,
        kind=found.workflow_type,
        parent=found.parent_id,
        events=found.history_length,
        size=found.raw_info.history_size_bytes,
    )
