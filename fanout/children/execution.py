"""One execution of a batch, as the store sees it: its rows, its checkpoints, and the commit that decides the key."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fanout.children.accounts import account_of_refused
from fanout.children.book import Book, Rows
from fanout.errors import StoreUnavailable
from fanout.folding import Fold, Told
from fanout.inputs import BatchInput, BatchOutput
from fanout.models import MAX_COUNTERS, summed
from fanout.pages import RestRef
from fanout.storage import checkpoints, commits, layout, rests, values
from fanout.storage.layout import Kind
from fanout.storage.records import Commit, DataObject, Effort
from fanout.storage.rests import Items
from fanout.storage.stores import Store

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds that a batch waits for its store with what it has done, before it gives up and another worker repeats it."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


@dataclass
class Waiting:
    """What a batch waits for just now, for people; empty while it works."""

    reason: str = ""

    hurry: bool = False
    """Whether the batch must end soon: then it waits no longer."""


class Execution:
    """Writes what one execution of a batch has done.

    Args:
        store: The output.
        order: The batch.
        items: Its items.
        worker: Identity of this worker.
        version: The processor's version.
        waiting: Told why, while the store cannot be used.
        fold: What outputs are added to, where the run has a reducer and the batch is to run items.

    Attributes:
        won: Whether the commit that decides the key is this execution's.
        commit_seconds: What it took to write it, and the last rows.
        measure: Returns what its items took so far.
    """

    def __init__(
        self,
        store: Store,
        order: BatchInput,
        items: Sequence[Items],
        *,
        worker: str = "",
        version: str = "",
        waiting: Waiting | None = None,
        fold: Fold | None = None,
    ) -> None:
        self._store = store
        self._fold = fold
        self._waiting = waiting or Waiting()
        self._began = time.monotonic()
        self._before = 0.0
        self.won = False
        self.commit_seconds = 0.0
        self.measure: Callable[[], Effort] = Effort
        self._effort = Effort()
        self._lock = asyncio.Lock()
        self._own: list[DataObject] = []
        self._checkpoints = 0
        self._done = Commit(
            nonce=order.nonce,
            key=order.key,
            token=uuid.uuid4().hex,
            start=items[0].start,
            count=sum(one.count for one in items),
            items=[] if len(items) == 1 else [list(part) for part in rests.ranges(items)],
            worker=worker,
            version=version,
        )
        self._items = list(items)

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def settled(self) -> int:
        """Items whose outcome is written."""
        return self._done.succeeded + self._done.failed

    async def resume(self) -> list[Items]:
        """Go on from one checkpoint of an earlier execution, if there is any; returns what is left to run."""
        found = await checkpoints.latest(
            self._store, self._done.nonce, self._done.key, rests.ranges(self._items)
        )
        if found is None:
            return self._items
        mine = self._done
        self._before, self._effort = found.seconds, found.effort
        if self._fold is not None and found.reduced is not None:
            await self._fold.merge(await values.load(self._store, found.reduced), found.reduced.path)
        self._done = replace(found, token=mine.token, worker=mine.worker, version=mine.version)
        fresh = [Items(start, count) for start, count in found.more]
        runs = [Items(run[0], run[1], run[2], rest.due) for rest in found.rests for run in rest.runs]
        return sorted([*fresh, *runs])

    async def checkpoint(
        self, book: Book, aside: Sequence[Items], guard: contextlib.AbstractContextManager[object]
    ) -> str | None:
        """Store what has been done so far.

        Args:
            book: The items that run.
            aside: Items of the batch that are not in the book.
            guard: Keeps the book from changing while it is looked at.

        Returns:
            Where the checkpoint lies; None where there is nothing new to store.
        """
        async with self._lock:
            with guard:
                rows, left = book.take_rows(), sorted([*book.remaining(), *aside])
                effort = self.measure()
            if not rows.results and not rows.failures:
                return None
            await self._write(await self._reduce(rows, book, guard))
            record = self._record(left, effort)
            number, self._checkpoints = self._checkpoints, self._checkpoints + 1
            return await self._patiently(lambda: checkpoints.save(self._store, record, number))

    async def commit(self, book: Book, aside: Sequence[Items]) -> Commit:
        """Write the rows that are left, and decide the key; returns the commit that counts."""
        began = time.monotonic()
        async with self._lock:
            await self._write(await self._reduce(book.take_rows(), book, contextlib.nullcontext()))
            return await self._decide(sorted([*book.remaining(), *aside]), began)

    async def seal(self) -> Commit:
        """Decide the key of a batch that was cut off: what a checkpoint of it holds counts, all else remains."""
        left = await self.resume()
        return await self._decide(left, time.monotonic())

    # ---- private

    async def _decide(self, left: Sequence[Items], began: float) -> Commit:
        record = self._record(left, self.measure())
        standing, self.won = await self._patiently(lambda: commits.create(self._store, record))
        self.commit_seconds = time.monotonic() - began
        if not self.won:
            await self._tidy(lambda: commits.discard(self._store, self._own, standing))
        if self._checkpoints:
            last = layout.checkpoint_path(self._done.key, self._done.token, self._checkpoints - 1)
            await self._tidy(lambda: self._store.delete(last))
        return standing

    async def _reduce(self, rows: Rows, book: Book, guard: contextlib.AbstractContextManager[object]) -> Rows:
        """Add the outputs that are about to be written; items whose output is refused become failures."""
        if self._fold is None or not rows.outputs:
            return rows
        told = Told(book.indexes.__getitem__, book.key_of)
        refused = await self._fold.add(list(rows.outputs.items()), told)
        if not refused:
            return rows
        name = self._fold.name
        with guard:
            return book.refuse(rows, {p: account_of_refused(name, error) for p, error in refused.items()})

    async def _write(self, rows: Rows) -> None:
        """Make rows durable, and count them."""
        number = len(self._own)
        results, failures, reduced = await asyncio.gather(
            self._write_kind("results", rows.results, rows.first, number),
            self._write_kind("failures", rows.failures, rows.first, number),
            self._write_value(self._done.succeeded + len(rows.results), number),
        )
        done = self._done
        self._done = replace(
            done,
            results=[*done.results, *results],
            failures=[*done.failures, *failures],
            succeeded=done.succeeded + len(rows.results),
            failed=done.failed + len(rows.failures),
            error_types=dict(Counter(done.error_types) + Counter(rows.error_types)),
            counters=summed(done.counters, rows.counters, MAX_COUNTERS),
            matched=done.matched + rows.matched,
            reduced=reduced or done.reduced,
        )

    async def _write_kind(
        self, kind: Kind, rows: Sequence[bytes], first: int, number: int
    ) -> list[DataObject]:
        if not rows:
            return []
        path = layout.data_path(kind, self._done.key, self._done.token, number)
        # One large write is much quicker than many small ones.
        data = b"".join(rows)
        # Its name is this execution's alone: that it exists is the answer to a retried request.
        await self._patiently(lambda: self._store.create_own(path, data))
        written = DataObject(path, len(rows), len(data), first)
        self._own.append(written)
        return [written]

    async def _write_value(self, succeeded: int, number: int) -> DataObject | None:
        """Make the value of the run's reducer durable, where it is made of more outputs than before."""
        if self._fold is None or succeeded == self._done.succeeded:
            return None
        path = layout.value_path(self._done.key, self._done.token, number)
        data = await self._fold.encoded()
        await self._patiently(lambda: self._store.create_own(path, data))
        written = DataObject(path, succeeded, len(data))
        self._own.append(written)
        return written

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something, again and again while the store cannot be used: the items are done, and must not run anew."""
        until = time.monotonic() + PATIENCE
        pause = _FIRST_PAUSE
        while True:
            try:
                done = await act()
            except StoreUnavailable as error:
                if self._waiting.hurry or time.monotonic() + pause > until:
                    raise
                self._waiting.reason = f"the store: {error}"
            else:
                self._waiting.reason = ""
                return done
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _tidy(self, act: Callable[[], Awaitable[None]]) -> None:
        # What stays behind is named by no commit, and is deleted at the end of the run.
        with contextlib.suppress(StoreUnavailable):
            await act()

    def _record(self, left: Sequence[Items], effort: Effort) -> Commit:
        """Return what is to be said of the batch now, where so much of it is left and this much was spent."""
        now = time.time()
        more, handed_back = rests.divide(left, now)
        seconds = round(self._before + self.seconds, 6)
        return replace(
            self._done,
            more=more,
            rests=handed_back,
            seconds=seconds,
            written=now,
            effort=self._effort + effort,
        )


def output(commit: Commit, samples: list[str]) -> BatchOutput:
    """Return what the workflow needs to know of a commit."""
    return BatchOutput(
        totals=commit.totals,
        more=commit.more,
        seconds=commit.seconds,
        samples=samples,
        rests=[
            RestRef(
                key=commit.key,
                number=number,
                count=sum(run[1] for run in rest.runs),
                start=rest.runs[0][0],
                end=sum(rest.runs[-1][:2]),
                due=rest.due,
            )
            for number, rest in enumerate(commit.rests)
        ],
        key=commit.key,
    )
