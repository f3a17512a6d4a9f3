"""`saga`: steps in parallel, of which either all have an effect or, once compensated, none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Unpack, cast, overload

from temporalio.exceptions import ApplicationError, FailureError

from fanout import quick
from fanout.patterns.calls import Activity, Call, SyncActivity, as_call
from fanout.patterns.limit import Limit
from fanout.patterns.options import CallOptions
from fanout.patterns.refusal import refusal
from fanout.patterns.results import ItemResult, in_words
from fanout.patterns.window import Window, result_itself

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
R1 = TypeVar("R1")
R2 = TypeVar("R2")
R3 = TypeVar("R3")


@dataclass(frozen=True)
class Step(Generic[R_co]):
    """A step of a saga, as `step()` makes it."""

    call: Call[Any, R_co]
    item: Any
    compensation: Call[Any, Any] | None
    of_output: bool
    always: bool


@dataclass(frozen=True)
class CompensationFailure:
    """A compensation that failed: what its step did is still in effect, or may be.

    Attributes:
        step: Name of the step's activity or child workflow.
        item: What the step was given.
        error: What the compensation failed with.
    """

    step: str
    item: Any
    error: FailureError

    def __str__(self) -> str:
        return f"{self.step} ({': '.join(in_words(self.error))})"


class SagaFailed(ApplicationError):
    """A saga failed; what had succeeded has been compensated, as far as that went well.

    Its cause is the error of the step that failed first.

    Attributes:
        step: Name of the activity or child workflow that failed first; empty where the saga was cancelled.
        compensated: Names of the steps that were compensated, in that order.
        compensation_failures: Compensations that failed; they are in the error's details as well.
    """

    def __init__(
        self, step: str, message: str, compensated: list[str], failures: list[CompensationFailure]
    ) -> None:
        self.step = step
        self.compensated = compensated
        self.compensation_failures = failures
        words = [f"{step} failed: {message}" if step else message]
        if compensated:
            words.append(f"compensated: {', '.join(compensated)}")
        if failures:
            words.append(f"NOT compensated: {', '.join(map(str, failures))}")
        details = [str(failure) for failure in failures]
        super().__init__("; ".join(words), *details, type="SagaFailed", non_retryable=True)


@overload
def step(
    activity: Activity[T, R],
    item: T,
    *,
    compensate: Callable[[T], Any] | Callable[[Any, T], Any] | Call[T, Any] | str | None = None,
    compensate_output: Callable[[R], Any] | Callable[[Any, R], Any] | Call[R, Any] | str | None = None,
    always: bool = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Step[R]: ...
@overload
def step(
    activity: SyncActivity[T, R],
    item: T,
    *,
    compensate: Callable[[T], Any] | Callable[[Any, T], Any] | Call[T, Any] | str | None = None,
    compensate_output: Callable[[R], Any] | Callable[[Any, R], Any] | Call[R, Any] | str | None = None,
    always: bool = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Step[R]: ...
def step(
    activity: Any,
    item: Any,
    *,
    compensate: Any = None,
    compensate_output: Any = None,
    always: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> Step[Any]:
    """Make a step of a saga.

        patterns.step(book_hotel, trip, compensate=cancel_hotel, start_to_close_timeout=MINUTE)

    Args:
        activity: What the step does: anything that `gather` takes.
        item: What it is given.
        compensate: What undoes it, given the same item: anything that `gather` takes. It must do no harm where there is
            nothing to undo, and may run more than once.
        compensate_output: The same, given what the step returned.
        always: Whether to compensate also where the step failed or was cancelled: it may have had an effect before.
        result_type: What an activity known by name returns.
        options: For the step and for its compensation; `patterns.activity()` and `patterns.child()` have their own.

    Raises:
        ApplicationError: What is asked for cannot be done.
    """
    if compensate is not None and compensate_output is not None:
        raise refusal("a step has one compensation: compensate or compensate_output")
    if always and compensate is None:
        raise refusal(
            "always=True needs compensate=: a step that failed has no output, and nothing undoes it else"
        )
    call = as_call(activity, result_type, options)
    undo = compensate if compensate is not None else compensate_output
    compensation = None
    if undo is not None:
        compensation = as_call(
            undo, None, CallOptions() if isinstance(undo, Call) else _shared(call, options)
        )
    return Step(call, item, compensation, compensate_output is not None, always)


def _shared(call: Call[Any, Any], options: CallOptions) -> CallOptions:
    """Return the options of a step for its compensation: those of a `Call` where it is one."""
    return options or CallOptions(**call.options)  # type: ignore[typeddict-item]


_StepResult = ItemResult[Step[Any], Any]


@overload
async def saga(
    step1: Step[R1], /, *, max_concurrency: int | Limit = 500, parallel_compensation: bool = False
) -> tuple[R1]: ...
@overload
async def saga(
    step1: Step[R1],
    step2: Step[R2],
    /,
    *,
    max_concurrency: int | Limit = 500,
    parallel_compensation: bool = False,
) -> tuple[R1, R2]: ...
@overload
async def saga(
    step1: Step[R1],
    step2: Step[R2],
    step3: Step[R3],
    /,
    *,
    max_concurrency: int | Limit = 500,
    parallel_compensation: bool = False,
) -> tuple[R1, R2, R3]: ...
@overload
async def saga(
    *steps: Step[R], max_concurrency: int | Limit = 500, parallel_compensation: bool = False
) -> tuple[R, ...]: ...
async def saga(
    *steps: Step[Any], max_concurrency: int | Limit = 500, parallel_compensation: bool = False
) -> tuple[Any, ...]:
    """Run steps in parallel; when one fails, undo those that have succeeded.

    The others are cancelled first, and waited for: what they achieve meanwhile is undone as well. Compensations run in
    the reverse order of the steps, and one that fails does not keep the others from running. When the workflow is
    cancelled, what has succeeded is compensated as well, before the cancellation goes on.

    Args:
        steps: What to do, as made by `step()`.
        max_concurrency: Steps in flight at once, or a `Limit`; 1 runs them in their order, one after the other.
        parallel_compensation: Whether compensations may run at the same time.

    Returns:
        What the steps returned, in their order.

    Raises:
        SagaFailed: A step failed.
        ApplicationError: What is asked for cannot be done.
    """
    window = Window(lambda one: (one.call, one.item), steps, max_concurrency, result_itself, raising=False)
    results: list[_StepResult] = []
    failure: _StepResult | None = None
    cancellation: asyncio.CancelledError | None = None
    try:
        async with window:
            async for result in window:
                results.append(result)
                if not result.ok:
                    failure = result
                    break
    except asyncio.CancelledError as error:
        cancellation = error
    if failure is None and cancellation is None:
        results.sort(key=lambda result: result.index)
        return tuple(result.output for result in results)
    undone = await quick.to_the_end(_compensate([*results, *window.left()], parallel_compensation))
    compensated = [result.item.item.call.name for result in undone if result.ok]
    failures = [
        CompensationFailure(result.item.item.call.name, result.item.item.item, result.error)
        for result in undone
        if result.error is not None
    ]
    if cancellation is not None and not failures:
        raise cancellation
    if failure is None:
        raise SagaFailed("", "the saga was cancelled", compensated, failures)
    raise SagaFailed(failure.item.call.name, failure.message, compensated, failures) from failure.error


async def _compensate(results: list[_StepResult], parallel: bool) -> list[ItemResult[_StepResult, Any]]:
    """Undo steps, the last one first; returns what came of it."""
    due = [
        result
        for result in sorted(results, key=lambda result: -result.index)
        if result.item.compensation is not None and (result.ok or result.item.always)
    ]
    if not due:
        return []
    window = Window(_undo, due, len(due) if parallel else 1, result_itself, raising=False)
    async with window:
        return [result async for result in window]


def _undo(result: _StepResult) -> tuple[Call[Any, Any], Any]:
    done = result.item
    compensation = cast(Call[Any, Any], done.compensation)
    return compensation, result.output if done.of_output else done.item
