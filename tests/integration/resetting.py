"""Resetting a workflow, as a person may do in Temporal Web."""

from __future__ import annotations

import uuid

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client


async def reset(client: Client, workflow_id: str, *, last: bool = False) -> str:
    """Reset a workflow to the end of its first workflow task, or of its last one; returns the new run id."""
    handle = client.get_workflow_handle(workflow_id)
    events = (await handle.fetch_history()).events
    ends = [e.event_id for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    described = await handle.describe()
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=described.run_id),
            reason="a test",
            workflow_task_finish_event_id=ends[-1] if last else ends[0],
            request_id=str(uuid.uuid4()),
        )
    )
    return answer.run_id
