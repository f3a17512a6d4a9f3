"""How an item is run: by which activity or child workflow, with which arguments and options."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, Unpack, cast, overload

from temporalio import workflow
from temporalio.common import RetryPolicy

from fanout import quick
from fanout.patterns.limit import Limit
from fanout.patterns.limits import limits
from fanout.patterns.options import (
    ACTIVITY_OPTIONS,
    CHILD_OPTIONS,
    ActivityOptions,
    CallOptions,
    ChildOptions,
)
from fanout.patterns.refusal import refusal

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Call(Generic[T_contra, R_co]):
    """How an item is run: what `activity()` and `child()` return, for patterns to take in place of a function."""

    target: str | Callable[..., Any]
    is_child: bool
    result_type: type | None
    arguments: Callable[[Any], Sequence[Any]]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The type of the activity or child workflow."""
        if isinstance(self.target, str):
            return self.target
        definition = _workflow_of(self.target) if self.is_child else _activity_of(self.target)
        return str(definition.name)

    @property
    def retry_policy(self) -> RetryPolicy | None:
        """The policy by which its attempts are repeated, where one is given."""
        return cast(RetryPolicy | None, self.options.get("retry_policy"))

    def begin(self, args: Sequence[Any], child_id: str) -> asyncio.Task[R_co]:
        """Begin an activity or child workflow; cancelling what is returned cancels it, and waits for its end."""
        if self.is_child:
            return asyncio.create_task(_run_child(self, args, child_id))
        options = {
            "cancellation_type": workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            **self.options,
        }
        target: Any = self.target
        return workflow.start_activity(target, args=args, result_type=self.result_type, **options)

    @property
    def pending(self) -> Limit:
        """What bounds how many of its kind one workflow may have pending."""
        return limits().children if self.is_child else limits().activities


Activity = Callable[[T], Awaitable[R]] | Callable[[Any, T], Awaitable[R]] | Call[T, R] | str
"""What runs an item: an activity, a workflow's run method, a `Call`, or the name of an activity."""

SyncActivity = Callable[[T], R] | Callable[[Any, T], R]
"""An activity that is a `def`."""


@overload
def activity(
    target: Callable[[T], Awaitable[R]] | Callable[[Any, T], Awaitable[R]] | str,
    *,
    args: None = None,
    result_type: type[R] | None = None,
    **options: Unpack[ActivityOptions],
) -> Call[T, R]: ...
@overload
def activity(
    target: Callable[[T], R] | Callable[[Any, T], R],
    *,
    args: None = None,
    result_type: type[R] | None = None,
    **options: Unpack[ActivityOptions],
) -> Call[T, R]: ...
@overload
def activity(
    target: Callable[..., Awaitable[R]] | str,
    *,
    args: Callable[[T], Sequence[Any]],
    result_type: type[R] | None = None,
    **options: Unpack[ActivityOptions],
) -> Call[T, R]: ...
@overload
def activity(
    target: Callable[..., R],
    *,
    args: Callable[[T], Sequence[Any]],
    result_type: type[R] | None = None,
    **options: Unpack[ActivityOptions],
) -> Call[T, R]: ...
def activity(
    target: Any,
    *,
    args: Callable[[Any], Sequence[Any]] | None = None,
    result_type: type | None = None,
    **options: Unpack[ActivityOptions],
) -> Call[Any, Any]:
    """Say by which activity an item is run, where its function alone does not say enough.

    For activities that take several arguments, that are known by name, or that differ in their options.

        resize = patterns.activity("resize", args=lambda image: (image.path, 300), result_type=str,
                                   start_to_close_timeout=timedelta(minutes=1))
        paths = await patterns.gather(resize, images)

    Args:
        target: The activity, or its name.
        args: Makes the activity's arguments of an item; by default the item is the only one.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity`.

    Raises:
        ApplicationError: It is no activity, or has no timeout.
    """
    return _checked(Call(target, False, result_type, args or _alone, dict(options)))


@overload
def child(
    target: Callable[[Any, T], Awaitable[R]] | str,
    *,
    args: None = None,
    result_type: type[R] | None = None,
    **options: Unpack[ChildOptions],
) -> Call[T, R]: ...
@overload
def child(
    target: Callable[..., Awaitable[R]] | str,
    *,
    args: Callable[[T], Sequence[Any]],
    result_type: type[R] | None = None,
    **options: Unpack[ChildOptions],
) -> Call[T, R]: ...
def child(
    target: Any,
    *,
    args: Callable[[Any], Sequence[Any]] | None = None,
    result_type: type | None = None,
    **options: Unpack[ChildOptions],
) -> Call[Any, Any]:
    """Say by which child workflow an item is run, where its run method alone does not say enough.

    Args:
        target: The workflow's run method, or the name of a workflow.
        args: Makes the workflow's arguments of an item; by default the item is the only one.
        result_type: What a workflow known by name returns.
        options: As for `workflow.execute_child_workflow`; `id` is a function of the item.

    Raises:
        ApplicationError: It is no workflow.
    """
    return _checked(Call(target, True, result_type, args or _alone, dict(options)))


def as_call(target: Any, result_type: type | None, options: CallOptions) -> Call[Any, Any]:
    """Return what a pattern was given as a call.

    Raises:
        ApplicationError: It is neither activity nor workflow, or options do not fit.
    """
    limits()  # Outside of a workflow nothing of this works.
    if isinstance(target, Call):
        if options or result_type is not None:
            given = ", ".join(options) or "result_type"
            raise refusal(
                f"{given}: give it to patterns.activity() or patterns.child(), where the call is made"
            )
        return target
    is_child = not isinstance(target, str) and _workflow_of(target) is not None
    return _checked(Call(target, is_child, result_type, _alone, dict(options)))


def _checked(call: Call[Any, Any]) -> Call[Any, Any]:
    if not isinstance(call.target, str):
        _check_target(call)
    known = CHILD_OPTIONS if call.is_child else ACTIVITY_OPTIONS
    noun = "child workflow" if call.is_child else "activity"
    if unknown := sorted(set(call.options) - known):
        raise refusal(
            f"{', '.join(unknown)}: no option of the {noun} {call.name}; there are {', '.join(sorted(known))}"
        )
    timed = call.options.get("start_to_close_timeout") or call.options.get("schedule_to_close_timeout")
    if not call.is_child and not timed:
        raise refusal(
            f"the activity {call.name} needs a start_to_close_timeout or a schedule_to_close_timeout"
        )
    return call


def _check_target(call: Call[Any, Any]) -> None:
    if isinstance(call.target, type):
        raise refusal(f"{call.target.__name__} is a class: give its run method, {call.target.__name__}.run")
    definition = _workflow_of(call.target) if call.is_child else _activity_of(call.target)
    if definition is None or not definition.name:
        raise refusal(
            f"{call.target!r} is neither an activity (a function with @activity.defn, or its name) "
            "nor the run method of a workflow (a method with @workflow.run)"
        )


def _alone(item: Any) -> Sequence[Any]:
    return (item,)


def _activity_of(target: Any) -> Any:
    return getattr(target, "__temporal_activity_definition", None)


def _workflow_of(target: Any) -> Any:
    return getattr(target, "__temporal_workflow_definition", None)


async def _run_child(call: Call[Any, Any], args: Sequence[Any], workflow_id: str) -> Any:
    options = {**call.options, "id": workflow_id}
    target: Any = call.target
    starting = workflow.start_child_workflow(target, args=args, result_type=call.result_type, **options)
    return await quick.outcome(await quick.begin(starting))
