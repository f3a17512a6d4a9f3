"""The window: begins items as others end, and hands out what comes of them. All patterns are made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import CancelledError, FailureError

from fanout import quick
from fanout.patterns.calls import Call
from fanout.patterns.limit import Limit
from fanout.patterns.limits import as_limit, limits
from fanout.patterns.refusal import refusal
from fanout.patterns.results import ItemResult, failed, succeeded
from fanout.patterns.sizes import encoded_size

Y_co = TypeVar("Y_co", covariant=True)

Plan = Callable[[Any], tuple[Call[Any, Any], Any]]
"""Tells by which call an item is run, and what that is given."""


class Window(Generic[Y_co]):
    """A window of items in flight: entered by `async with`, gone over by `async for`.

    Leaving the block, in whatever way, cancels what is in flight and waits until it has ended.
    """

    def __init__(
        self,
        plan: Plan,
        items: Iterable[Any] | AsyncIterable[Any],
        limit: int | Limit,
        show: Callable[[ItemResult[Any, Any]], Y_co],
        *,
        raising: bool,
        ordered: bool = False,
    ) -> None:
        self._plan = plan
        self._items = stream(items)
        self._limit = as_limit(limit)
        self._show = show
        self._raising = raising
        self._ordered = ordered
        self._begun = 0
        self._shown = 0
        self._exhausted = False
        self._draining = False
        self._between_items = False
        self._fed_up = False
        self._in_flight: dict[int, asyncio.Task[Any]] = {}
        self._ended: dict[int, ItemResult[Any, Any]] = {}
        self._error: BaseException | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._child_names: dict[str, str] = {}

    # ---- for the workflow

    @property
    def limit(self) -> Limit:
        """What bounds the items in flight; its `max_concurrency` may be set at any time."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """Items in flight just now."""
        return len(self._in_flight)

    @property
    def begun(self) -> int:
        """Items taken from the source so far: once drained, where to go on after continuing as new."""
        return self._begun

    @property
    def exhausted(self) -> bool:
        """Whether the source has no further item."""
        return self._exhausted

    def drain(self) -> None:
        """Begin nothing more: the loop over the window ends once what is in flight has ended and was handed out."""
        self._draining = True
        if self._feeder is not None and self._between_items:
            self._feeder.cancel()

    async def __aenter__(self) -> Self:
        self._feeder = asyncio.create_task(self._feed())
        self._feeder.add_done_callback(self._fed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:
            # The workflow is dropped from memory: nothing can be awaited any more.
            return
        self.drain()
        if self._feeder is not None and not (self._feeder.done() and not self._in_flight):
            await quick.uncut(self._wind_up(self._feeder))

    def __aiter__(self) -> AsyncIterator[Y_co]:
        return self

    async def __anext__(self) -> Y_co:
        if self._feeder is None:
            raise refusal("a window is entered first: async with patterns.sliding_window(…) as results: …")
        while True:
            if self._error is not None:
                raise self._error
            if (result := self._take()) is not None:
                return self._show(result)
            if self._fed_up and not self._in_flight:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def left(self) -> list[ItemResult[Any, Any]]:
        """Return what has ended but was not handed out."""
        return list(self._ended.values())

    # ---- beginning

    async def _feed(self) -> None:
        while not (self._draining or self._exhausted):
            self._between_items = True
            await self._until_taken()
            with ExitStack() as places:
                await self._limit.acquire()
                places.callback(self._limit.release)
                try:
                    item = await anext(self._items)
                except StopAsyncIteration:
                    self._exhausted = True
                    continue
                self._between_items = False
                await self._begin(item, places)

    async def _until_taken(self) -> None:
        """Wait for a loop that is slower than its items: what has ended must not pile up."""
        while self._begun - self._shown >= max(1, 2 * self._limit.max_concurrency):
            self._taken.clear()
            await self._taken.wait()

    async def _begin(self, item: Any, places: ExitStack) -> None:
        index, self._begun = self._begun, self._begun + 1
        call, given = self._plan(item)
        try:
            args = call.arguments(given)
            size = encoded_size(index, args)
        except FailureError as error:
            self._settle(failed(index, item, error, call.retry_policy))
            return
        pending = call.pending
        await pending.acquire()
        places.callback(pending.release)
        await limits().send(size)
        task = call.begin(args, self._child_id(call, index, given))
        self._in_flight[index] = task
        task.add_done_callback(partial(self._end, index, item, places.pop_all(), call.retry_policy))

    def _child_id(self, call: Call[Any, Any], index: int, item: Any) -> str:
        if not call.is_child:
            return ""
        if (own := call.options.get("id")) is not None:
            return str(own(item))
        name = call.name
        if name not in self._child_names:
            self._child_names[name] = limits().name_children(name)
        return f"{workflow.info().workflow_id}/{self._child_names[name]}/{index:06}"

    # ---- ending

    def _end(
        self, index: int, item: Any, places: ExitStack, policy: RetryPolicy | None, task: asyncio.Task[Any]
    ) -> None:
        del self._in_flight[index]
        places.close()
        error = CancelledError("canceled") if task.cancelled() else task.exception()
        if error is None:
            self._settle(succeeded(index, item, task.result(), policy))
        elif isinstance(error, FailureError):
            self._settle(failed(index, item, error, policy))
        else:
            self._break(error)

    def _settle(self, result: ItemResult[Any, Any]) -> None:
        if self._raising and result.error is not None:
            self._break(result.error)
            return
        self._ended[result.index] = result
        self._news.set()

    def _break(self, error: BaseException) -> None:
        self._error = self._error or error
        self.drain()
        self._news.set()

    def _fed(self, feeder: asyncio.Task[None]) -> None:
        if not feeder.cancelled() and (error := feeder.exception()) is not None:
            self._break(error)
        # Not before: whoever sees the end must see the error as well.
        self._fed_up = True
        self._news.set()

    def _take(self) -> ItemResult[Any, Any] | None:
        index = self._shown if self._ordered else next(iter(self._ended), -1)
        result = self._ended.pop(index, None)
        if result is not None:
            self._shown += 1
            self._taken.set()
        return result

    async def _wind_up(self, feeder: asyncio.Task[None]) -> None:
        await quick.wind_up([feeder])
        # What has ended in the same moment has not been cancelled: conditions are looked at once all is taken in.
        await workflow.wait_condition(lambda: True)
        await quick.wind_up(list(self._in_flight.values()))


def one_by_one(call: Call[Any, Any]) -> Plan:
    """Run every item by the same call."""
    return lambda item: (call, item)


def result_itself(result: ItemResult[Any, Any]) -> ItemResult[Any, Any]:
    """Hand out results as they are."""
    return result


def shown(return_exceptions: bool) -> Callable[[ItemResult[Any, Any]], Any]:
    """Return how a loop over a window sees results."""
    return result_itself if return_exceptions else lambda result: (result.item, result.output)


def stream(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Return items one after the other."""
    return aiter(items) if isinstance(items, AsyncIterable) else _Stream(items)


def iterated(items: Iterable[Any]) -> Iterator[Any]:
    """Return an iterator over what a workflow gave as items."""
    try:
        return iter(items)
    except TypeError:
        raise refusal(f"items are something to go over, such as a list, not {type(items).__name__}") from None


class _Stream:
    """An iterable, as what is awaited."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iterated(items)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None
