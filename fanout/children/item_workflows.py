"""Items that are workflows: each runs in one of its own, which its batch starts, awaits, and cancels where it has to.

To the batch it is a call like any other. But it outlives the worker: the next attempt of the batch finds the workflow
by its id, and goes on awaiting it or takes its result. It has no parent: items are no business of any history of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode

from fanout import iteminfo, wire
from fanout.itemworkflows import ids_of
from fanout.observability import details
from fanout.pages import Json
from fanout.processors import Processor
from fanout.runs.info import OUTAGES
from fanout.searchattributes import quoted

R = TypeVar("R")
Handle = WorkflowHandle[Any, Any]

PAUSE = 1.0
"""Seconds between two questions to a server that does not answer."""

_CUT_OFF = {
    WorkflowExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT,
    WorkflowExecutionStatus.FAILED,
}


class ItemWorkflows:
    """Runs the items of one batch. Made where the batch's activity runs, and not where its items do.

    Args:
        processor: What to run.
        params: The run's parameters, as JSON.
        nonce: The run's.
    """

    def __init__(self, processor: Processor[..., Any], params: Mapping[str, Json], nonce: str) -> None:
        self._processor = processor
        self._params = list(processor.check_params(params).values())
        self._nonce = nonce
        self._client = activity.client()
        self._batch = activity.info()
        self._task = asyncio.current_task()
        # Items see another activity as theirs.
        self._context = contextvars.copy_context()

    async def run(self, item: Any) -> Any:
        """Start the item's workflow, or find the one that an earlier attempt has started, and await it.

        Raises:
            ApplicationError: The workflow failed.
        """
        handle = await self._to_the_end(_patiently(lambda: self._begin(item)))
        try:
            return await _patiently(handle.result)
        except WorkflowFailureError as error:
            raise _failure(error.cause) from None
        except asyncio.CancelledError:
            await self._leave(handle)
            raise

    async def _begin(self, item: Any) -> Handle:
        info = iteminfo.info()
        own_id = f"{ids_of(info.run_id, self._nonce)}{info.index}"
        key = "" if info.key == str(info.index) else f", {info.key}"
        try:
            return await self._client.start_workflow(
                self._processor.name,
                args=[self._processor.items.dump_python(item, mode="json", warnings=False), *self._params],
                id=own_id,
                task_queue=self._batch.task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                memo={wire.ITEM_MEMO: asdict(info)},
                static_summary=details.summary(f"item {info.index:,}{key}"),
                static_details=self._details(info),
            )
        except WorkflowAlreadyStartedError as done:
            # An earlier attempt has brought it to its end, and did not live to write that down.
            return self._client.get_workflow_handle(own_id, run_id=done.run_id)

    def _details(self, info: iteminfo.Info) -> str:
        namespace, partition = self._client.namespace, self._batch.workflow_id or ""
        run = details.link(f"run `{info.run_id}`", namespace, info.run_id)
        if partition == info.run_id:
            return f"Item {info.index:,} of {run}"
        return (
            f"Item {info.index:,} of {details.link(details.name(partition), namespace, partition)} of {run}"
        )

    async def _leave(self, handle: Handle) -> None:
        """End the workflow of an item that is cut off; let it live where another attempt of the batch will find it."""
        if self._is_closing():
            return
        why = self._why()
        if why is None or why.cancel_requested:
            await self._insist(_cancel(handle))
        elif why.not_found:
            await self._insist(self._terminate(handle))

    def _why(self) -> activity.ActivityCancellationDetails | None:
        return self._context.run(activity.cancellation_details)

    def _is_closing(self) -> bool:
        """Tell whether the event loop closes: it cancels whatever is in it, and waits for that, serving nobody."""
        return self._task is not None and self._task.cancelling() > 0 and self._why() is None

    async def _to_the_end(self, starting: Awaitable[R]) -> R:
        """Await a start; one that is cut off in the middle would leave a workflow that nobody knows to cancel."""
        work = asyncio.ensure_future(starting)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await self._insist(work)
            task = asyncio.current_task()
            if task is not None:
                # Met again at the next step, where there is something to cancel.
                asyncio.get_running_loop().call_soon(task.cancel)
            return await work

    async def _insist(self, work: Awaitable[Any]) -> None:
        """Bring something to its end however often it is cancelled meanwhile, but not beyond the end of this worker.

        Whoever runs the batch next finds the workflow by its id.
        """
        task = asyncio.ensure_future(work)
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
            if not task.done() and self._context.run(activity.is_worker_shutdown):
                task.cancel()
                return

    async def _terminate(self, handle: Handle) -> None:
        """Terminate the workflow where its run was: nobody will ask for it any more."""
        above = self._client.get_workflow_handle(
            self._batch.workflow_id or "", run_id=self._batch.workflow_run_id
        )
        with contextlib.suppress(RPCError):
            if (await above.describe()).status in _CUT_OFF:
                await handle.terminate(reason="its run has ended")


async def cancel_all(client: Client, run_id: str, nonce: str) -> None:
    """Cancel the workflows that are left of items whose batches were given up, and wait for them.

    Args:
        client: Any client.
        run_id: The run's id.
        nonce: The run's.
    """
    handles = await _live(client, ids_of(run_id, nonce))
    await asyncio.gather(*map(_cancel, handles))


async def terminate_all(client: Client, run_id: str, *, reason: str) -> None:
    """Terminate the workflows of a run's items, once the run itself was terminated."""
    while handles := await _live(client, ids_of(run_id)):
        for handle in handles:
            with contextlib.suppress(RPCError):
                await handle.terminate(reason=reason)
        # Lists are some way behind.
        await asyncio.sleep(PAUSE)


async def _live(client: Client, ids: str) -> list[Handle]:
    query = f"WorkflowId STARTS_WITH {quoted(ids)} AND ExecutionStatus = 'Running'"
    found = client.list_workflows(query)
    return [client.get_workflow_handle(one.id, run_id=one.run_id) async for one in found]


async def _cancel(handle: Handle) -> None:
    try:
        await _patiently(handle.cancel)
        await _patiently(handle.result)
    except WorkflowFailureError:
        return
    except RPCError as error:
        # It has ended long ago.
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _patiently(act: Callable[[], Awaitable[R]]) -> R:
    """Ask the server, again and again while it is away: that is no fault of the item's."""
    while True:
        try:
            return await act()
        except RPCError as error:
            if error.status not in OUTAGES:
                raise
        await asyncio.sleep(PAUSE)


def _failure(cause: BaseException) -> BaseException:
    """Return the error with which an item's workflow has failed: the one at the bottom of Temporal's wrappers."""
    while isinstance(cause, ActivityError | ChildWorkflowError) and cause.cause is not None:
        cause = cause.cause
    match cause:
        case TerminatedError():
            # By a person, who wants an end of it.
            return ApplicationError(
                "its workflow was terminated", type="WorkflowTerminated", non_retryable=True
            )
        case CancelledError():
            return ApplicationError("its workflow was canceled", type="WorkflowCanceled")
        case TimeoutError():
            return ApplicationError(f"its workflow timed out: {cause.message}", type="WorkflowTimedOut")
    return cause
