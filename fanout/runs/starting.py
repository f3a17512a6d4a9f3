"""Starting the root workflow of a run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from fanout import messages, searchattributes, wire
from fanout.envelope import memo_of
from fanout.models import RunResult
from fanout.observability import details
from fanout.plugin import may_start_eagerly
from fanout.runs.info import refused
from fanout.storage.layout import staged_path
from fanout.storage.stores import open_store

DEFAULT_TASK_QUEUE = "fanout"


def default_task_queue() -> str:
    """Return the queue of runs that name none, nor does their processor: `FANOUT_TASK_QUEUE`, else `"fanout"`."""
    return os.environ.get("FANOUT_TASK_QUEUE") or DEFAULT_TASK_QUEUE


async def begin(
    client: Client, order: messages.RunInput, *, run_id: str, task_queue: str, anew: bool, summary: str
) -> str | None:
    """Start a run.

    Args:
        client: Any Temporal client.
        order: What is started; what was staged for it is deleted where it is not.
        run_id: The run's id.
        task_queue: Where its workers poll.
        anew: Whether an ended run may have the id.
        summary: For people, in Temporal Web.

    Returns:
        Its first execution id; None where the id is taken.

    Raises:
        NoServer: The server does not answer.
        UsageError: The server refuses it.
    """
    try:
        handle = await _begin(client, order, run_id, task_queue, anew, details.summary(summary))
    except WorkflowAlreadyStartedError:
        store = open_store(order.store)
        staged = await store.list(staged_path(run_id, order.nonce))
        await store.delete(*(found.path for found in staged))
        return None
    except RPCError as error:
        raise refused(error, f"run {run_id!r} was not started") from None
    return handle.first_execution_run_id


async def _begin(
    client: Client, order: messages.RunInput, run_id: str, task_queue: str, anew: bool, summary: str
) -> WorkflowHandle[Any, RunResult]:
    """Start the root; with search attributes where the namespace has them."""
    attributes = await searchattributes.registered(client)
    while True:
        try:
            return await client.start_workflow(
                wire.RUN_WORKFLOW,
                replace(order, attributes=attributes),
                id=run_id,
                task_queue=task_queue,
                result_type=RunResult,
                id_reuse_policy=(
                    WorkflowIDReusePolicy.ALLOW_DUPLICATE if anew else WorkflowIDReusePolicy.REJECT_DUPLICATE
                ),
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                # Where a worker shares this client, it begins without a turn through the queue.
                request_eager_start=may_start_eagerly(client),
                memo=memo_of(order),
                search_attributes=searchattributes.at_start(attributes, order.processor),
                static_summary=summary,
                static_details=details.of_start(run_id, order, client.namespace),
            )
        except RPCError as error:
            if not (attributes and searchattributes.is_unknown(error)):
                raise
            # Removed since they were asked for.
            searchattributes.forget(client)
            attributes = []
