"""What executions of a batch ask of the store, in the order in which they do; each step can be left out or broken."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from fanout.errors import ObjectMissing, StoreUnavailable
from fanout.pages import RestRef
from fanout.storage import checkpoints, codec, commits, layout, rests, tiling
from fanout.storage.layout import Kind
from fanout.storage.records import Commit, DataObject, Rest
from fanout.storage.rests import Items
from fanout.storage.stores import Store
from tests.unit.storage.outputs import NONCE, WEIGHT, failure_row, result_row, weight

T = TypeVar("T")

TRIES = 3


@dataclass(frozen=True)
class Batch:
    """An order: the items are a range, or listed by commits."""

    key: str
    start: int
    count: int
    refs: list[RestRef] = field(default_factory=list)

    async def items(self, store: Store) -> list[Items]:
        if self.refs:
            return await rests.resolve(store, NONCE, self.refs)
        return [Items(self.start, self.count)]


class Executor:
    """One execution.

    Args:
        store: The output.
        batch: The batch.
        chance: Decides what happens to items, and when it checkpoints.
        attempt: From 1.
        broken: The mechanism that it does without.
        checkpoint: How often it stores one.
    """

    def __init__(
        self,
        store: Store,
        batch: Batch,
        chance: random.Random,
        attempt: int = 1,
        broken: str = "",
        checkpoint: float = 0.6,
    ) -> None:
        self._store = store
        self._batch = batch
        self._chance = chance
        self._attempt = attempt
        self._broken = broken
        self._often = checkpoint
        self._own: list[DataObject] = []
        self._unwritten: list[tuple[str, list[bytes]]] = []
        self._saved = 0
        self._left: dict[int, int] = {}
        self._token = "same" if broken == "unique tokens" else f"{chance.getrandbits(64):016x}"

    async def run(self) -> Commit:
        """Run the batch, and return the commit that the workflow is to act on."""
        if (found := await self._begin()) is not None:
            return found
        if self._attempt > 1:
            await self._resume()
        while self._left and self._chance.random() < 0.8:
            await self._settle(self._some())
            if self._chance.random() < self._often:
                await self._checkpoint()
        if self._left and self._chance.random() < 0.5:
            await self._settle(list(self._left))
        return await self._decide()

    async def seal(self) -> Commit:
        """Decide the key of a batch that was cut off by what one checkpoint holds."""
        if (found := await self._begin()) is not None:
            return found
        await self._resume()
        return await self._decide()

    # ---- steps

    async def _begin(self) -> Commit | None:
        items = await self._batch.items(self._store)
        ranges = rests.ranges(items)
        self._left = {i: one.attempts for one in items for i in range(one.start, one.start + one.count)}
        self._done = Commit(
            nonce=NONCE,
            key=self._batch.key,
            token=self._token,
            start=items[0].start,
            count=tiling.count(ranges),
            items=[] if len(items) == 1 else [list(part) for part in ranges],
        )
        return await commits.find(self._store, NONCE, self._batch.key, expected=ranges)

    async def _resume(self) -> None:
        ranges = commits.items_of(self._done)
        if self._broken == "one checkpoint":
            await self._resume_from_all(ranges)
            return
        found = await checkpoints.latest(self._store, NONCE, self._batch.key, ranges)
        if found is not None:
            self._done = replace(found, token=self._token)
            attempts = {
                run[0] + at: run[2] for rest in found.rests for run in rest.runs for at in range(run[1])
            }
            left = [i for first, length in commits.remaining(found) for i in range(first, first + length)]
            self._left = {i: attempts.get(i, 0) for i in left}

    async def _resume_from_all(self, ranges: list[tuple[int, int]]) -> None:
        """Take the union of what all checkpoints hold."""
        listed = await self._store.list(layout.checkpoints_folder(self._batch.key))
        for stored in listed:
            try:
                data = await self._store.read(stored.path)
            except ObjectMissing:
                continue
            found = codec.decode(Commit, data, stored.path)
            known = {data.path for data in (*self._done.results, *self._done.failures)}
            results = [data for data in found.results if data.path not in known]
            failures = [data for data in found.failures if data.path not in known]
            self._add(results, failures, [])
            remaining = {i for a, n in commits.remaining(found) for i in range(a, a + n)}
            self._left = {i: n for i, n in self._left.items() if i in remaining}

    async def _settle(self, indexes: Sequence[int]) -> None:
        """Find outcomes, and make their rows durable."""
        failed = {i for i in indexes if self._chance.random() < 0.3}
        for i in indexes:
            del self._left[i]
        good, bad = sorted(set(indexes) - failed), sorted(failed)
        number = len(self._own)
        results = await self._write("results", number, good, [result_row(i, i % 3) for i in good])
        failures = await self._write("failures", number, bad, [failure_row(i) for i in bad])
        self._add(results, failures, indexes)

    async def _write(
        self, kind: Kind, number: int, indexes: list[int], lines: list[bytes]
    ) -> list[DataObject]:
        if not lines:
            return []
        path = layout.data_path(kind, self._batch.key, self._token, number)
        if self._broken == "data first":
            self._unwritten.append((path, lines))
        else:
            await self._patiently(lambda: self._store.create_own(path, lines))
        first = self._chance.choice([0, indexes[0]])
        written = DataObject(path, len(lines), sum(map(len, lines)), first)
        self._own.append(written)
        return [written]

    async def _checkpoint(self) -> None:
        record, number = self._record(), self._saved
        self._saved += 1
        await self._patiently(lambda: checkpoints.save(self._store, record, number))

    async def _decide(self) -> Commit:
        own = self._record()
        standing, won = await self._patiently(lambda: self._create(own))
        for path, lines in self._unwritten:
            await self._patiently(lambda path=path, lines=lines: self._store.create_own(path, lines))  # type: ignore[misc]
        if not won:
            await self._tidy(lambda: commits.discard(self._store, self._own, self._kept(standing)))
        if self._saved:
            last = layout.checkpoint_path(self._batch.key, self._token, self._saved - 1)
            await self._tidy(lambda: self._store.delete(last))
        return own if self._broken == "act on commits" else standing

    async def _create(self, own: Commit) -> tuple[Commit, bool]:
        if self._broken != "read back":
            return await commits.create(self._store, own)
        try:
            await self._store.create(layout.commit_path(own.key), codec.encode(own))
        except Exception:
            # What the error says is believed: the commit was not made, so nothing needs these.
            await self._store.delete(*(data.path for data in self._own))
            raise StoreUnavailable("the commit was refused") from None
        return own, True

    # ---- helpers

    def _kept(self, standing: Commit) -> Commit:
        if self._broken == "keep the inherited":
            return replace(standing, results=[], failures=[])
        return standing

    def _some(self) -> list[int]:
        left = list(self._left)
        return self._chance.sample(left, self._chance.randint(1, min(3, len(left))))

    def _add(
        self, results: Sequence[DataObject], failures: Sequence[DataObject], indexes: Sequence[int]
    ) -> None:
        done = self._done
        failed = sum(data.rows for data in failures)
        counted = sum(map(weight, indexes))
        self._done = replace(
            done,
            results=[*done.results, *results],
            failures=[*done.failures, *failures],
            counters={WEIGHT: done.counters.get(WEIGHT, 0.0) + counted},
            succeeded=done.succeeded + sum(data.rows for data in results),
            failed=done.failed + failed,
            error_types={"ValueError": done.failed + failed} if done.failed + failed else {},
        )

    def _record(self) -> Commit:
        """Return what has been done so far, with what is left divided at random into ranges and sets."""
        more: list[tuple[int, int]] = []
        sets: list[list[list[int]]] = [[], []]
        for index, attempts in sorted(self._left.items()):
            where = self._chance.randint(0, 3)
            if where < 2:
                more.append((index, 1))
            else:
                sets[where - 2].append([index, 1, attempts + 1])
        if self._chance.random() < 0.7:
            more = tiling.joined(more)
        return replace(
            self._done, more=[list(part) for part in more], rests=[Rest(runs) for runs in sets if runs]
        )

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        for _ in range(TRIES - 1):
            try:
                return await act()
            except StoreUnavailable:
                continue
        return await act()

    async def _tidy(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except StoreUnavailable:
            return
