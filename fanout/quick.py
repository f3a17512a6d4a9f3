"""Activities that are usually over before a server could have dispatched them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception
from temporalio.workflow import ChildWorkflowHandle

with workflow.unsafe.imports_passed_through():
    from fanout.wire import control_queue

R = TypeVar("R")
Child = TypeVar("Child", bound="asyncio.Task[Any]")

LONGEST = timedelta(hours=12)
HEARTBEAT = timedelta(seconds=10)
PATIENCE = RetryPolicy(maximum_interval=timedelta(seconds=30))


async def to_the_end(work: Coroutine[Any, Any, R]) -> R:
    """Await something that a cancellation of the workflow must not cut off: it ends, and the cancellation is dropped.

    What was committed is published, and a run that is over says so, also where it is cancelled at that moment.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise
        return await task


async def uncut(work: Coroutine[Any, Any, R]) -> R:
    """Await something that a cancellation must not cut off: it ends, and then the cancellation is passed on."""
    task = asyncio.create_task(work)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cut = error
    if cut is not None and not task.cancelled():
        task.exception()
        raise cut
    return task.result()


async def begin(starting: Coroutine[Any, Any, Child]) -> Child:
    """Start a child workflow; a cancellation meanwhile is passed on once there is a child to cancel.

    Cut off in that moment, the child would live on unknown to its parent.
    """
    task = asyncio.create_task(starting)
    try:
        await workflow.wait([task])
    except asyncio.CancelledError:
        await _cancel(await task)
    return await task


async def outcome(handle: asyncio.Task[R]) -> R:
    """Await an activity or a child; a cancellation is passed on to it, unless it has just ended.

    Awaited plainly, a result that comes together with the cancellation is lost.
    """
    try:
        await workflow.wait([handle])
    except asyncio.CancelledError:
        # Conditions are looked at once all that has come together is taken in.
        await workflow.wait_condition(lambda: True)
        if not handle.done():
            await _cancel(handle)
    return await handle


async def _cancel(handle: asyncio.Task[Any]) -> None:
    if not isinstance(handle, ChildWorkflowHandle):
        handle.cancel()
        return
    # Its handle cancels the one execution that it has started: the server takes that for done where the child has
    # continued as new since, and tells nobody. This fails where the child has ended meanwhile.
    with contextlib.suppress(FailureError):
        await workflow.get_external_workflow_handle(handle.id).cancel()


@contextlib.contextmanager
def alongside(*works: Coroutine[Any, Any, None]) -> Iterator[None]:
    """Do further work as long as the block lasts; how it ends is nobody's concern."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        # Nothing is awaited: a workflow that its worker drops from memory passes here as well.
        for task in tasks:
            task.add_done_callback(_look)
            task.cancel()


def _look(task: asyncio.Task[None]) -> None:
    """Spare a task that failed the complaint that nobody has looked at it."""
    if not task.cancelled():
        task.exception()


async def wind_up(tasks: Sequence[asyncio.Task[Any]]) -> list[BaseException]:
    """Cancel tasks and wait for all of them: what still runs in one may commit or publish before it ends.

    Returns:
        The errors with which they ended, but for cancellations.
    """
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [end for end in ended if isinstance(end, BaseException) and not is_cancelled_exception(end)]


async def execute(name: str, order: Any, result_type: type[R], *, small: bool, summary: str) -> R:
    """Execute an activity; a small one first inside the worker that runs the workflow.

    That saves a run of a hundred items most of its latency. Where the try fails, but not for good, the ordinary
    activity follows, whose failures and retries show in Temporal Web.

    Args:
        name: The activity's type.
        order: Its argument.
        result_type: Of its result.
        small: Whether it is certain to take less than a second or two.
        summary: For people, in Temporal Web.

    Raises:
        ActivityError: The activity failed for good, or was cancelled.
        ApplicationError: The first try failed for good.
    """
    if small:
        try:
            done: R = await workflow.execute_local_activity(
                name,
                order,
                result_type=result_type,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=1),
                summary=summary,
            )
            return done
        except FailureError as error:
            # What a local activity raises arrives as it is, without an `ActivityError` around it.
            cause = error.cause if isinstance(error, ActivityError) else error
            final = isinstance(cause, ApplicationError) and cause.non_retryable
            if final or is_cancelled_exception(error):
                raise
    result: R = await workflow.execute_activity(
        name,
        order,
        task_queue=control_queue(workflow.info().task_queue),
        result_type=result_type,
        start_to_close_timeout=LONGEST,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=PATIENCE,
        summary=summary,
    )
    return result
