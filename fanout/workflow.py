"""Runs started from inside your own workflows, as their children.

    @workflow.defn
    class Nightly:
        @workflow.run
        async def run(self, day: str) -> int:
            result = await fanout.workflow.execute(fetch, fanout.Csv(f"s3://shop/{day}.csv"), id=f"fetch-{day}")
            return result.succeeded

What `fanout.start` checks where it is called, an activity checks here, on a worker of the run: a workflow must not look
at files or the environment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Literal, get_args

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python
from temporalio import workflow
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

from fanout import quick, searchattributes, wire
from fanout.compensation import Compensator
from fanout.envelope import memo_of, result_of
from fanout.errors import FanoutError, UsageError
from fanout.inputs import PrepareInput
from fanout.itemworkflows import workflow_name
from fanout.messages import RunInput
from fanout.models import RunResult, Status
from fanout.observability import details
from fanout.options import check
from fanout.pages import Source
from fanout.processors import Processor, registered
from fanout.readers.base import Reader
from fanout.readers.items import INLINE_BYTES, Items
from fanout.reducing import Reducer, as_reduction
from fanout.reduction import Reduction
from fanout.stopping import StopWhen, check_condition
from fanout.storage.layout import check_run_id

IfExists = Literal["fail", "new"]

PREPARING = timedelta(minutes=10)


class RunFailed(ApplicationError):
    """A run ended in another status than the one asked for. Uncaught, it fails the workflow that awaits the run.

    Attributes:
        status: How the run ended.
        result: What it did, where that is known.
    """

    def __init__(self, message: str, status: Status, result: RunResult | None = None) -> None:
        said = () if result is None else (asdict(result),)
        super().__init__(message, *said, type=wire.RUN_FAILED, non_retryable=True)
        self.status = status
        self.result = result


class ChildRun:
    """A run that a workflow has started.

    Attributes:
        id: The run's id.
    """

    def __init__(self, id: str, child: ChildWorkflowHandle[Any, RunResult]) -> None:
        self.id = id
        self._child = child

    async def result(self) -> RunResult:
        """Wait for the run to end. Cancelled, it cancels the run and waits for it.

        Returns:
            What it did, where it ended as SUCCEEDED or COMPLETED_WITH_FAILURES, or has found what it searched for.

        Raises:
            RunFailed: It ended otherwise.
        """
        try:
            result: RunResult = await quick.outcome(self._child)
        except ChildWorkflowError as error:
            raise self._failure(error) from None
        if result.status is Status.STOPPED and not result.found:
            why = f"stopped: {result.reason}" if result.reason else "drained"
            raise RunFailed(f"run {self.id!r} was {why}", Status.STOPPED, result)
        return result

    def _failure(self, error: ChildWorkflowError) -> BaseException:
        task = asyncio.current_task()
        if is_cancelled_exception(error):
            if task is not None and task.cancelling():
                return asyncio.CancelledError()
            return RunFailed(f"run {self.id!r} was canceled", Status.CANCELED)
        cause = error.cause
        if isinstance(cause, ApplicationError):
            result = result_of(cause)
            status = Status.FAILED if result is None else result.status
            return RunFailed(f"run {self.id!r} failed: {cause.message}", status, result)
        return RunFailed(f"run {self.id!r} was terminated", Status.TERMINATED)


async def execute(
    processor: Processor[..., Any] | Callable[..., Any] | str,
    reader: Reader | Iterable[Any],
    *,
    id: str | None = None,
    **arguments: Any,
) -> RunResult:
    """Run a processor over one set of items, as a child of the calling workflow, and wait for the end.

    Args:
        processor: As for `start`.
        reader: As for `start`.
        id: As for `start`.
        **arguments: As for `start`.

    Returns:
        What the run did, where it ended as SUCCEEDED or COMPLETED_WITH_FAILURES, or has found what it searched for.

    Raises:
        ApplicationError: The run could not be started, or ended otherwise (`RunFailed`).
    """
    return await (await start(processor, reader, id=id, **arguments)).result()


async def start(
    processor: Processor[..., Any] | Callable[..., Any] | str,
    reader: Reader | Iterable[Any],
    *,
    id: str | None = None,
    task_queue: str | None = None,
    output: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "fail",
    params: Mapping[str, Any] | None = None,
    stop_when: StopWhen | None = None,
    compensate: Processor[..., Any] | Callable[..., Any] | str | None = None,
    reduce: Reducer | type[Reducer] | Reduction | str | None = None,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    **settings: Any,
) -> ChildRun:
    """Start a run as a child of the calling workflow; await its `result`.

    Args:
        processor: What to do with each item; or the name under which workers have registered it.
        reader: Where the items come from; other iterables are taken as `fanout.Items`, of 48 KiB at most.
        id: The run's id; made of the processor's name and a random number by default.
        task_queue: Default: the processor's own, else that of the calling workflow.
        output: URL or path of the store that the output goes to. Default: that of the run's workers.
        if_exists: Whether a run of that id that has ended makes way for a `"new"` one.
        params: Parameters of the run.
        stop_when: What ends the run early.
        compensate: The processor that undoes what had succeeded, as a run of its own, where the run fails or is
            canceled; or its name.
        reduce: A reducer, its class, or its registered name: `RunResult.reduced` is what it has made of all outputs,
            where that is no more than 8 KiB of JSON, else `RunResult.reduced_url` says where it lies.
        parent_close_policy: What becomes of the run when the calling workflow ends before it.
        **settings: Any field of `fanout.Options`.

    Raises:
        ApplicationError: An argument does not fit, the items cannot be read, or a run of that id exists; its type is
            that of the error which `fanout.start` would raise. No attempt is made again.
    """
    name, own_queue = _named(processor)
    queue = task_queue or own_queue or workflow.info().task_queue
    try:
        if not isinstance(queue, str):
            raise UsageError(f"a task queue has a name, not {queue!r}")
        if if_exists not in get_args(IfExists):
            raise UsageError(f"if_exists is 'fail' or 'new' inside a workflow, not {if_exists!r}")
        run_id = check_run_id(id or f"{_safe(name)}-{workflow.uuid4().hex[:12]}")
        given = PrepareInput(
            run_id=run_id,
            nonce=workflow.uuid4().hex,
            processor=name,
            source=_source(reader),
            output=None if output is None else _path_or_url(output),
            params=_json(params or {}),
            settings=check(settings),
            stop_when=None if stop_when is None else check_condition(stop_when),
            compensate=None if compensate is None else Compensator(*_named(compensate)),
            reduce=None if reduce is None else as_reduction(reduce),
        )
    except FanoutError as error:
        raise _refused(error) from None
    except (TypeError, ValueError) as error:
        raise _refused(UsageError(f"an argument of this run does not fit: {error}")) from None
    order = await _prepare(given, queue)
    starting = workflow.start_child_workflow(
        wire.RUN_WORKFLOW,
        order,
        id=run_id,
        task_queue=queue,
        result_type=RunResult,
        id_reuse_policy=(
            WorkflowIDReusePolicy.ALLOW_DUPLICATE
            if if_exists == "new"
            else WorkflowIDReusePolicy.REJECT_DUPLICATE
        ),
        parent_close_policy=parent_close_policy,
        memo=memo_of(order),
        search_attributes=searchattributes.at_start(order.attributes, name),
        static_summary=details.summary(f"{name} over {details.of_source(order.source)}"),
        static_details=details.of_start(run_id, order, workflow.info().namespace),
    )
    try:
        return ChildRun(run_id, await quick.begin(starting))
    except WorkflowAlreadyStartedError:
        raise ApplicationError(
            f"a run {run_id!r} exists: use another id, or say if_exists='new' to start over once it has ended",
            type="RunExists",
            non_retryable=True,
        ) from None


async def _prepare(given: PrepareInput, queue: str) -> RunInput:
    """Let a worker of the run look at what this workflow cannot: the store, the source, the processor."""
    try:
        order: RunInput = await workflow.execute_activity(
            wire.PREPARE_ACTIVITY,
            given,
            task_queue=wire.control_queue(queue),
            result_type=RunInput,
            start_to_close_timeout=PREPARING,
            heartbeat_timeout=quick.HEARTBEAT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=30)),
            summary=f"prepare run {given.run_id}",
        )
    except ActivityError as error:
        cause = error.cause
        if not isinstance(cause, ApplicationError):
            raise
        raise ApplicationError(cause.message, type=cause.type, non_retryable=True) from None
    return order


def _named(processor: Any) -> tuple[str, str | None]:
    """Return the name of a processor, and its own task queue."""
    if isinstance(processor, str):
        return processor, None
    name = workflow_name(processor)
    if name is not None:
        known = registered().get(name)
        return name, None if known is None else known.task_queue
    if isinstance(processor, Processor):
        return processor.name, processor.task_queue
    raise _refused(
        UsageError(f"{processor!r} is no processor: decorate it with @fanout.processor, or say its name")
    )


def _source(reader: Any) -> Source:
    """Return what travels to the activity that prepares the run."""
    found = reader if isinstance(reader, Reader) else Items(reader)
    if type(found) is not Items:
        return found.to_source()
    try:
        values = to_json(found.listed())
    except PydanticSerializationError as error:
        raise UsageError(f"these items cannot be written as JSON: {error}") from None
    if len(values) > INLINE_BYTES:
        raise UsageError(
            f"these items are {len(values):,} bytes of JSON: inside a workflow they may be {INLINE_BYTES:,}. Let an "
            "activity write them to a file, and read that"
        )
    inline = Items.from_args({"values": from_json(values)}).to_source()
    return replace(inline, key=found.key, skip=found._skip, limit=found._limit)


def _path_or_url(output: str | os.PathLike[str]) -> str:
    found = os.fspath(output)
    if not isinstance(found, str):
        raise UsageError(f"an output is a path or URL, not {output!r}")
    return found


def _json(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they travel: of some values, such as dates, Temporal's own converter knows nothing."""
    try:
        found: dict[str, Any] = to_jsonable_python(dict(params))
    except PydanticSerializationError as error:
        raise UsageError(f"these parameters cannot be written as JSON: {error}") from None
    return found


def _safe(name: str) -> str:
    return "".join(one if one.isalnum() or one in "._-" else "-" for one in name)


def _refused(error: FanoutError) -> ApplicationError:
    # Any other error would be taken for a bug of the workflow's, and its task be tried again for ever.
    return ApplicationError(str(error), type=type(error).__name__, non_retryable=True)
