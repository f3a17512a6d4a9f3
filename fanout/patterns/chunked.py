"""`chunked`: a chunk of items at a time, with a barrier after each."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Literal, TypeVar, Unpack, overload

from fanout.patterns.calls import Activity, Call, SyncActivity, as_call
from fanout.patterns.gather import collect
from fanout.patterns.options import CallOptions
from fanout.patterns.refusal import refusal
from fanout.patterns.results import ItemResult
from fanout.patterns.window import stream

T = TypeVar("T")
R = TypeVar("R")


@overload
def chunked(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    chunk_size: int = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> AsyncIterator[list[R]]: ...
@overload
def chunked(
    activity: Activity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    chunk_size: int = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> AsyncIterator[list[ItemResult[T, R]]]: ...
@overload
def chunked(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    chunk_size: int = 500,
    return_exceptions: Literal[False] = False,
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> AsyncIterator[list[R]]: ...
@overload
def chunked(
    activity: SyncActivity[T, R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    chunk_size: int = 500,
    return_exceptions: Literal[True],
    result_type: type[R] | None = None,
    **options: Unpack[CallOptions],
) -> AsyncIterator[list[ItemResult[T, R]]]: ...
def chunked(
    activity: Any,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    chunk_size: int = 500,
    return_exceptions: bool = False,
    result_type: type | None = None,
    **options: Unpack[CallOptions],
) -> AsyncIterator[list[Any]]:
    """Run an activity or child workflow for the items of one chunk at a time; the next one begins when all have ended.

    Nothing is in flight between two chunks: there is the place to continue as new, to wait or to leave. Where items
    take different times, `sliding_window` needs far less of it.

        async for sizes in patterns.chunked(fetch, urls, chunk_size=100, start_to_close_timeout=MINUTE):
            total += sum(sizes)

    Args:
        activity: An activity, a workflow's run method for a child workflow per item, what `patterns.activity()` or
            `patterns.child()` returns, or the name of an activity.
        items: What to go over: anything that can be iterated, also with `async for`.
        chunk_size: Items of a chunk.
        return_exceptions: Whether an item that fails is a result like any other, an `ItemResult` with its error.
        result_type: What an activity known by name returns.
        options: As for `workflow.execute_activity` or `workflow.execute_child_workflow`.

    Returns:
        An iterator over the chunks: outputs in the order of the items, or an `ItemResult` for each item.

    Raises:
        FailureError: In the loop: an item failed; the others of its chunk have been cancelled, and have ended.
        ApplicationError: What is asked for cannot be done: no activity, no timeout, an option that there is not.
    """
    call = as_call(activity, result_type, options)
    if chunk_size < 1:
        raise refusal(f"chunk_size is {chunk_size}: a chunk has at least one item")
    return _Chunks(call, stream(items), chunk_size, return_exceptions)


class _Chunks:
    """An iterator of its own: an asynchronous generator that is left early ends some time later, if ever."""

    def __init__(
        self, call: Call[Any, Any], items: AsyncIterator[Any], size: int, return_exceptions: bool
    ) -> None:
        self._call = call
        self._items = items
        self._size = size
        self._return_exceptions = return_exceptions

    def __aiter__(self) -> AsyncIterator[list[Any]]:
        return self

    async def __anext__(self) -> list[Any]:
        chunk: list[Any] = []
        while len(chunk) < self._size:
            try:
                chunk.append(await anext(self._items))
            except StopAsyncIteration:
                break
        if not chunk:
            raise StopAsyncIteration
        results = await collect(self._call, chunk, self._size, raising=not self._return_exceptions)
        return results if self._return_exceptions else [result.output for result in results]
