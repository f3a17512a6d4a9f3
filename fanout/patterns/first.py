"""`first_completed` and `first_success`: one result is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Literal, TypeVar, Unpack, overload

from temporalio.exceptions import ApplicationError

from fanout.patterns.calls import Activity, SyncActivity, as_call
from fanout.patterns.limit import Limit
from fanout.patterns.options import CallOptions
from fanout.patterns.refusal import refusal
from fanout.patterns.results import ItemResult
from fanout.patterns.window import Window, one_by_one, result_itself

T = TypeVar("T")
R = TypeVar("R")


@overload
async def first_completed(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> R: ...
@overload
async def first_completed(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> ItemResult[T, R]: ...
@overload
async def first_completed(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> R: ...
@overload
async def first_completed(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> ItemResult[T, R]: ...
async def first_completed(
    activity: Any,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> Any:
    """Return what comes of the item that ends first, and cancel the others.

    When this returns the others have ended. An activity learns that it is cancelled by its heartbeats: without a
    `heartbeat_timeout`, and `activity.heartbeat()` more often than that, it is waited for until it ends by itself.

    Args:
        activity: An activity, a workflow's run method for a child workflow per item, what `patterns.activity()` or
            `patterns.child()` returns, or the name of an activity.
        items: What to go over: anything that can be iterated, also with `async for`.
        max_concurrency: Items in flight at once, or a `Limit` that can be changed meanwhile.
        return_exceptions: Whether an item that fails is a result like any other, an `ItemResult` with its error.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity` or `workflow.execute_child_workflow`.

    Returns:
        The output, or an `ItemResult`.

    Raises:
        FailureError: The first item to end failed; the others have been cancelled, and have ended.
        ApplicationError: What is asked for cannot be done: no activity, no timeout, an option that there is not.
    """
    results = await _until(activity, items, max_concurrency, result_type, options, lambda result: True)
    return results[-1] if return_exceptions else results[-1].unwrap()


@overload
async def first_success(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> R: ...
@overload
async def first_success(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> ItemResult[T, R]: ...
@overload
async def first_success(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> R: ...
@overload
async def first_success(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> ItemResult[T, R]: ...
async def first_success(
    activity: Any,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> Any:
    """Return what comes of the item that succeeds first, and cancel the others.

    As `first_completed`, but items that fail are passed over.

    Args:
        activity: An activity, a workflow's run method for a child workflow per item, what `patterns.activity()` or
            `patterns.child()` returns, or the name of an activity.
        items: What to go over: anything that can be iterated, also with `async for`.
        max_concurrency: Items in flight at once, or a `Limit` that can be changed meanwhile.
        return_exceptions: Whether an item that fails is a result like any other, an `ItemResult` with its error.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity` or `workflow.execute_child_workflow`.

    Returns:
        The output, or an `ItemResult`: of the item that failed last, where none succeeded.

    Raises:
        FailureError: No item succeeded.
        ApplicationError: What is asked for cannot be done: no activity, no timeout, an option that there is not.
    """
    results = await _until(activity, items, max_concurrency, result_type, options, lambda result: result.ok)
    last = results[-1]
    if last.ok or return_exceptions:
        return last if return_exceptions else last.output
    kinds = Counter(result.error_type for result in results)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    raise ApplicationError(
        f"none of {len(results)} items succeeded ({said}); the last one: {last.message}",
        type="NoSuccess",
        non_retryable=True,
    ) from last.error


async def _until(
    activity: Any,
    items: Iterable[Any] | AsyncIterable[Any],
    max_concurrency: int | Limit,
    result_type: type | None,
    options: CallOptions,
    enough: Callable[[ItemResult[Any, Any]], bool],
) -> list[ItemResult[Any, Any]]:
    """Return results in the order in which they came, up to the first that is enough."""
    call = as_call(activity, result_type, options)
    results = []
    async with Window(one_by_one(call), items, max_concurrency, result_itself, raising=False) as window:
        async for result in window:
            results.append(result)
            if enough(result):
                break
    if not results:
        raise refusal("there are no items to take the first of")
    return results
