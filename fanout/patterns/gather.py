"""`gather`: all items, and their outputs in order."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Literal, TypeVar, Unpack, overload

from fanout.patterns.calls import Activity, Call, SyncActivity, as_call
from fanout.patterns.limit import Limit
from fanout.patterns.options import CallOptions
from fanout.patterns.results import ItemResult
from fanout.patterns.window import Window, one_by_one, result_itself

T = TypeVar("T")
R = TypeVar("R")


@overload
async def gather(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> list[R]: ...
@overload
async def gather(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> list[ItemResult[T, R]]: ...
@overload
async def gather(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> list[R]: ...
@overload
async def gather(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> list[ItemResult[T, R]]: ...
async def gather(
    activity: Any,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> Any:
    """Run an activity or child workflow for every item, and return their outputs in the order of the items.

    An item begins as soon as another ends. The first one that fails cancels the others; whoever cancels the caller
    cancels what is in flight. Either way nothing runs any more when this returns.

        sizes = await patterns.gather(fetch, urls, start_to_close_timeout=timedelta(minutes=1))

    Args:
        activity: An activity, a workflow's run method for a child workflow per item, what `patterns.activity()` or
            `patterns.child()` returns, or the name of an activity.
        items: What to go over: anything that can be iterated, also with `async for`.
        max_concurrency: Items in flight at once, or a `Limit` that can be changed meanwhile.
        return_exceptions: Whether an item that fails is a result like any other, an `ItemResult` with its error.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity` or `workflow.execute_child_workflow`.

    Returns:
        The outputs, or an `ItemResult` for each item.

    Raises:
        FailureError: An item failed; the others have been cancelled, and have ended.
        ApplicationError: What is asked for cannot be done: no activity, no timeout, an option that there is not.
    """
    call = as_call(activity, result_type, options)
    results = await collect(call, items, max_concurrency, raising=not return_exceptions)
    return results if return_exceptions else [result.output for result in results]


async def collect(
    call: Call[Any, Any],
    items: Iterable[Any] | AsyncIterable[Any],
    limit: int | Limit,
    *,
    raising: bool,
) -> list[ItemResult[Any, Any]]:
    """Return what comes of all items, in their order; with `raising`, the first that fails is raised."""
    async with Window(one_by_one(call), items, limit, result_itself, raising=raising) as window:
        return sorted([result async for result in window], key=lambda result: result.index)
