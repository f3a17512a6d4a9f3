"""What is for clients and not for workflows, since it talks to a server, or looks at files and the clock."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError


def refuse_in_workflows(name: str) -> None:
    """Check that a function is not called by a workflow.

    Raises:
        ApplicationError: It is. Any other error, such as that of the sandbox, would not fail the workflow: Temporal
            would try its workflow task again for ever.
    """
    if workflow.in_workflow():
        raise ApplicationError(
            f"fanout.{name} is for clients, which may talk to a server: inside a workflow, start runs with "
            "fanout.workflow.start or fanout.workflow.execute, and let an activity do the rest",
            type="UsageError",
            non_retryable=True,
        )
