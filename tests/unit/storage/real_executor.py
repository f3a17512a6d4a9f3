"""An execution by the code that workers run; only its items' outcomes and its moments are made up."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from fanout.children.book import Book, Rows
from fanout.children.execution import Execution
from fanout.folding import Fold, Outputs, Told
from fanout.inputs import BatchInput
from fanout.storage import commits, rests
from fanout.storage.records import Commit
from fanout.storage.rests import Items
from fanout.storage.stores import Store
from tests.unit.storage.executor import Batch
from tests.unit.storage.outputs import NONCE, WEIGHT, failure_row, result_row, weight

REFUSED = 4
"""Of each five items the reducer refuses this one."""


class IndexFold:
    """A reducer's value that says which items are in it: what `fanout.folding` does, without threads."""

    name = "indexes"

    def __init__(self) -> None:
        self.indexes: list[int] = []

    async def add(self, outputs: Outputs, told: Told) -> dict[int, Exception]:
        refused: dict[int, Exception] = {p: ValueError() for p, _ in outputs if told.index(p) % 5 == REFUSED}
        self.indexes += [told.index(position) for position, _ in outputs if position not in refused]
        return refused

    async def merge(self, data: bytes, name: str = "") -> None:
        self.indexes += json.loads(data)

    async def encoded(self) -> bytes:
        return json.dumps(sorted(self.indexes)).encode()

    async def finished(self) -> bytes:
        return await self.encoded()


class DiceBook:
    """Items that settle by chance: what `Execution` asks of a book."""

    def __init__(self, items: list[Items], chance: random.Random) -> None:
        self.left = {i: one.attempts for one in items for i in range(one.start, one.start + one.count)}
        self._chance = chance
        self._settled: list[int] = []
        self.indexes = range(1_000)

    def settle(self, count: int) -> None:
        taken = self._chance.sample(list(self.left), min(count, len(self.left)))
        self._settled += taken
        for index in taken:
            del self.left[index]
        for index in self.left:
            self.left[index] += self._chance.random() < 0.2

    def take_rows(self) -> Rows:
        taken, self._settled = sorted(self._settled), []
        failed = {index for index in taken if self._chance.random() < 0.3}
        succeeded = {index: b"%d" % (index % 3) for index in taken if index not in failed}
        return Rows(
            results=[result_row(index, index % 3) for index in succeeded],
            failures=[failure_row(index) for index in sorted(failed)],
            error_types={"ValueError": len(failed)} if failed else {},
            first=taken[0] if taken else 0,
            counters={WEIGHT: sum(map(weight, taken))} if taken else {},
            outputs=succeeded,
        )

    def key_of(self, position: int) -> str:
        return str(position)

    def refuse(self, rows: Rows, reasons: Mapping[int, object]) -> Rows:
        failures = [*rows.failures, *(failure_row(index) for index in reasons)]
        return replace(
            rows,
            results=[
                row for index, row in zip(rows.outputs, rows.results, strict=True) if index not in reasons
            ],
            failures=sorted(failures, key=lambda row: int(json.loads(row)["index"])),
        )

    def remaining(self) -> list[Items]:
        return [Items(index, 1, attempts) for index, attempts in sorted(self.left.items())]


class RealExecutor:
    """One execution; see `Executor`, which can be broken."""

    def __init__(
        self,
        store: Store,
        batch: Batch,
        chance: random.Random,
        attempt: int = 1,
        broken: str = "",
        checkpoint: float = 0.6,
    ) -> None:
        assert not broken
        self._store = store
        self._batch = batch
        self._chance = chance
        self._attempt = attempt
        self._often = checkpoint

    async def run(self) -> Commit:
        items = await self._batch.items(self._store)
        found = await self._find(items)
        if found is not None:
            return found
        execution = self._execution(items)
        left = await execution.resume() if self._attempt > 1 else items
        aside = [one for one in left if self._chance.random() < 0.2]
        dice = DiceBook([one for one in left if one not in aside], self._chance)
        book = cast(Book, dice)
        while dice.left and self._chance.random() < 0.8:
            dice.settle(self._chance.randint(1, 3))
            if self._chance.random() < self._often:
                await execution.checkpoint(book, aside, contextlib.nullcontext())
        return await execution.commit(book, aside)

    async def seal(self) -> Commit:
        items = await self._batch.items(self._store)
        return await self._find(items) or await self._execution(items).seal()

    async def _find(self, items: list[Items]) -> Commit | None:
        return await commits.find(self._store, NONCE, self._batch.key, expected=rests.ranges(items))

    def _execution(self, items: list[Items]) -> Execution:
        batch = self._batch
        order = BatchInput(
            self._store.url, NONCE, batch.key, batch.start, batch.count, [], concurrency=1, rests=batch.refs
        )
        execution = Execution(self._store, order, items, fold=cast(Fold, IndexFold()))
        # So that a schedule can be repeated.
        token = f"{self._chance.getrandbits(64):016x}"
        execution._done = replace(execution._done, token=token)
        return execution
