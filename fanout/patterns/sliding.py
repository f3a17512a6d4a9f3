"""`sliding_window` and `as_completed`: results while others are still in flight."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Literal, TypeVar, Unpack, overload

from fanout.patterns.calls import Activity, SyncActivity, as_call
from fanout.patterns.limit import Limit
from fanout.patterns.options import CallOptions
from fanout.patterns.results import ItemResult
from fanout.patterns.window import Window, iterated, one_by_one, shown

T = TypeVar("T")
R = TypeVar("R")


@overload
def sliding_window(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    ordered: bool = False,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[tuple[T, R]]: ...
@overload
def sliding_window(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    ordered: bool = False,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[ItemResult[T, R]]: ...
@overload
def sliding_window(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    ordered: bool = False,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[tuple[T, R]]: ...
@overload
def sliding_window(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    max_concurrency: int | Limit = 500,
    ordered: bool = False,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[ItemResult[T, R]]: ...
def sliding_window(
    activity: Any,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    max_concurrency: int | Limit = 500,
    ordered: bool = False,
    return_exceptions: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> Window[Any]:
    """Keep a window of items in flight, and hand out what comes of them meanwhile.

    Items are taken from their source only as they begin. Where results are not taken, items stop beginning once as many
    wait as may be in flight. Leaving the block early, by `break` or by an error, cancels what is in flight and waits
    for its end.

        async with patterns.sliding_window(fetch, urls, max_concurrency=20, start_to_close_timeout=MINUTE) as results:
            async for url, size in results:
                total += size

    Args:
        activity: An activity, a workflow's run method for a child workflow per item, what `patterns.activity()` or
            `patterns.child()` returns, or the name of an activity.
        items: What to go over: anything that can be iterated, also with `async for`.
        max_concurrency: Items in flight at once, or a `Limit` that can be changed meanwhile.
        ordered: Whether results come in the order of the items, instead of as they end. A slow item then holds up
            those behind it.
        return_exceptions: Whether an item that fails is a result like any other, an `ItemResult` with its error.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity` or `workflow.execute_child_workflow`.

    Returns:
        The window, for `async with` and `async for`: pairs of item and output, or an `ItemResult` for each item.

    Raises:
        FailureError: In the loop: an item failed. The block then cancels the others.
        ApplicationError: What is asked for cannot be done: no activity, no timeout, an option that there is not.
    """
    call = as_call(activity, result_type, options)
    return Window(
        one_by_one(call),
        items,
        max_concurrency,
        shown(return_exceptions),
        raising=not return_exceptions,
        ordered=ordered,
    )


@overload
def as_completed(
    activity: Activity[T, R],
    items: Iterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[tuple[T, R]]: ...
@overload
def as_completed(
    activity: Activity[T, R],
    items: Iterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[ItemResult[T, R]]: ...
@overload
def as_completed(
    activity: SyncActivity[T, R],
    items: Iterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[tuple[T, R]]: ...
@overload
def as_completed(
    activity: SyncActivity[T, R],
    items: Iterable[T],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> Window[ItemResult[T, R]]: ...
def as_completed(
    activity: Any,
    items: Iterable[Any],
    *,
    max_concurrency: int | Limit = 500,
    return_exceptions: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> Window[Any]:
    """Run an activity or child workflow for every item, and hand out results as they come.

        async with patterns.as_completed(fetch, urls, start_to_close_timeout=MINUTE) as results:
            async for url, size in results:
                total += size

    Args:
        activity: An activity, a workflow's run method for a child workflow per item, what `patterns.activity()` or
            `patterns.child()` returns, or the name of an activity.
        items: What to go over; all of it is known from the start.
        max_concurrency: Items in flight at once, or a `Limit` that can be changed meanwhile.
        return_exceptions: Whether an item that fails is a result like any other, an `ItemResult` with its error.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity` or `workflow.execute_child_workflow`.

    Returns:
        The window, for `async with` and `async for`: pairs of item and output, or an `ItemResult` for each item.

    Raises:
        FailureError: In the loop: an item failed. The block then cancels the others.
        ApplicationError: What is asked for cannot be done: no activity, no timeout, an option that there is not.
    """
    call = as_call(activity, result_type, options)
    raising = not return_exceptions
    return Window(
        one_by_one(call), list(iterated(items)), max_concurrency, shown(return_exceptions), raising=raising
    )
