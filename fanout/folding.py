"""The value of a reducer as it grows: outputs are added to it, and values of others merged into it.

The user's code runs in threads: it must neither keep a worker's event loop from its heartbeats, nor hang for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fanout.errors import ReducerFailed
from fanout.reducing import Bound
from fanout.workers.threads import Threads

T = TypeVar("T")

LONGEST = 300.0
"""Seconds that a reducer may take for one block of outputs, or to merge one value: longer, and it is taken to hang."""

BLOCK = 500
"""Outputs that are added in one go: while a thread computes, the event loop waits for it at each of its turns."""

_NOTHING = object()


Outputs = Sequence[tuple[int, bytes]]
"""What processors have returned, as JSON, each with the position of its item."""


@dataclass(frozen=True)
class Told:
    """What `add` may want to know of an item, by its position.

    Attributes:
        index: Returns its index.
        key: Returns its key.
    """

    index: Callable[[int], int]
    key: Callable[[int], str]


class Fold:
    """One value of a reducer.

    Args:
        reducer: The reducer.
        threads: Where its code runs.
        most: Bytes that the value may have as JSON.

    Attributes:
        name: The reducer's.
    """

    def __init__(self, reducer: Bound, threads: Threads, most: int) -> None:
        self.name = reducer.name
        self._reducer = reducer
        self._threads = threads
        self._most = most
        self._total: Any = _NOTHING
        self._saved: bytes | None = None
        self._since: list[Outputs] = []
        self._unseen = 0

    async def add(self, outputs: Outputs, told: Told) -> dict[int, Exception]:
        """Add outputs, in their order.

        Returns:
            By position, why the reducer has refused some: the value is as if they had not been there.

        Raises:
            ReducerFailed: It hangs, is not deterministic, or its values cannot be kept.
        """
        add = self._adding(told)
        refused: dict[int, Exception] = {}
        for at in range(0, len(outputs), BLOCK):
            block = outputs[at : at + BLOCK]
            refused |= await self._run("add", functools.partial(self._add_block, block, add))
        return refused

    async def merge(self, data: bytes, name: str = "") -> None:
        """Merge a value into this one.

        Args:
            data: The value as JSON.
            name: Of the object that holds it, for errors.

        Raises:
            ReducerFailed: It cannot be merged.
        """
        try:
            await self._run("merge", functools.partial(self._merge, data))
        except ReducerFailed as error:
            raise ReducerFailed(f"{error} ({name})" if name else str(error)) from error

    async def encoded(self) -> bytes:
        """Return the value as JSON.

        Raises:
            ReducerFailed: It cannot be written, or is too large.
        """
        return await self._run("zero", self._save)

    async def finished(self) -> bytes:
        """Return what is shown of the value, as JSON."""
        return await self._run("finish", lambda: self._reducer.finish(self._reducer.load(self._save())))

    # ---- in a thread

    def _adding(self, told: Told) -> Callable[[Any, int, bytes], Any]:
        """Return what adds the output of the item at a position."""
        reducer = self._reducer
        read, add = reducer.read, reducer.add
        if not reducer.told:
            return lambda total, position, output: add(total, read(output))
        ask = {"index": told.index, "key": told.key}
        wanted = [(name, ask[name]) for name in reducer.told]
        return lambda total, position, output: add(
            total, read(output), **{name: of(position) for name, of in wanted}
        )

    def _add_block(self, block: Outputs, add: Callable[[Any, int, bytes], Any]) -> dict[int, Exception]:
        self._begin()
        if self._saved is None:
            self._saved = self._reducer.dump(self._total)
        total, begin = self._total, 0
        refused: dict[int, Exception] = {}
        for at, (position, output) in enumerate(block):
            try:
                total = add(total, position, output)
            except (Exception, SystemExit) as error:
                refused[position] = error if isinstance(error, Exception) else RuntimeError(repr(error))
                total = self._go_back([*self._since, block[begin:at]], add)
                begin = at + 1
        self._total = total
        self._since.append(block[begin:])
        return refused

    def _go_back(self, since: Sequence[Outputs], add: Callable[[Any, int, bytes], Any]) -> Any:
        """Undo what an `add` that raised may have changed, at the price of adding what came before it once more."""
        total = self._reducer.load(self._saved or b"null")
        self._since = []
        if not any(since):
            return total
        for position, output in itertools.chain.from_iterable(since):
            try:
                total = add(total, position, output)
            except Exception as error:
                raise ReducerFailed(
                    f"reducer {self.name!r} is not deterministic: add() took an output at first, and then raised "
                    f"{type(error).__name__}: {error}"
                ) from error
        self._saved = self._reducer.dump(total)
        return total

    def _merge(self, data: bytes) -> None:
        self._begin()
        self._total = self._reducer.merge(self._total, self._reducer.load(data))
        self._saved, self._since = None, []
        self._unseen += len(data)
        if self._unseen > self._most:
            # Not only at the end: a thousand values need not fit into memory.
            self._save()

    def _save(self) -> bytes:
        self._begin()
        if self._saved is None or any(self._since):
            self._saved, self._since = self._reducer.dump(self._total), []
        self._unseen = len(self._saved)
        if self._unseen > self._most:
            raise ReducerFailed(
                f"reducer {self.name!r}: its value has {self._unseen:,} bytes of JSON, "
                f"max_reduced_bytes is {self._most:,}: keep less in it, or raise the limit"
            )
        return self._saved

    def _begin(self) -> None:
        if self._total is _NOTHING:
            self._total = self._reducer.zero()

    # ---- threads

    async def _run(self, method: str, function: Callable[[], T]) -> T:
        """Call a function in a thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if future.done():
                self._threads.regain(self.name)
            elif error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def job() -> None:
            result, error = None, None
            try:
                result = function()
            except Exception as raised:
                error = raised
            # The loop may be closed by now, where the thread was given up.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result, error)

        self._threads.submit(job)
        done, _ = await asyncio.wait({future}, timeout=LONGEST)
        if not done:
            future.cancel()
            self._threads.lose(self.name)
            raise ReducerFailed(f"reducer {self.name!r}: {method}() has not come to an end for {LONGEST:g} s")
        return future.result()
