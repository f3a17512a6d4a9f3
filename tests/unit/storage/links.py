"""Chains of outputs made at random, beside a dict that says what must be read from them."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field, replace
from typing import ClassVar

from fanout.failurekinds import group_of
from fanout.pages import Json, Scan, Source
from fanout.readers.range import Range
from fanout.readers.registry import register
from fanout.readers.selecting import Again, next_selected
from fanout.selection import Selection
from fanout.storage import chains, commits, markers, publishing, reading, selections, tiling, views
from fanout.storage.files import Files
from fanout.storage.layout import KINDS, batch_key
from fanout.storage.records import Commit, Rest, RunRecord
from fanout.storage.stores import Store, open_store
from tests.unit.storage import outputs

TYPES = ("KeyError", "ValueError", "OSError")
FILES = Files(None)


@register
class Paged(Range):
    """A range that is planned a few items at a time."""

    kind: ClassVar[str] = "paged"
    page = 9

    async def scan(
        self, files: Files, store: Store, name: str, cursor: dict[str, Json] | None, limit: int | None
    ) -> Scan:
        """Return the next few."""
        most = self.page if limit is None else min(limit, self.page)
        return await super().scan(files, store, name, cursor, most)


@dataclass
class Output:
    """One output of the chain.

    Attributes:
        store: Where it lies.
        record: Its marker.
        indexes: Its items, by their positions; of a run of its own those of the items behind `shift`.
        shift: Position of the first item.
        open: Ranges of positions that no batch has settled.
        batches: Commits so far, over all partitions.
    """

    store: Store
    record: RunRecord
    indexes: list[int]
    shift: int
    open: list[tuple[int, int]] = field(default_factory=list)
    batches: int = 0


class Chain:
    """A run, and what becomes of it.

    Args:
        seed: Decides everything.
        broken: The mechanism that is left out.
    """

    def __init__(self, seed: int, broken: str = "") -> None:
        self.chance = random.Random(seed)
        self.broken = broken
        self.root = f"memory://{uuid.uuid4().hex}"
        self.items = self.chance.randint(1, 40)
        self.outcomes: dict[int, dict[str, Json]] = {}
        self.outputs: list[Output] = []

    @property
    def last(self) -> Output:
        """The newest output."""
        return self.outputs[-1]

    # ---- what befalls it

    async def begin(self, skip: int, count: int) -> None:
        """Begin a run of items of its own."""
        source = Source("paged", {"start": 0, "stop": skip + count, "step": 1}, skip=skip, limit=count)
        await self._claim(source, None)
        self.last.indexes, self.last.shift = list(range(skip + count)), skip
        self.last.open = [(skip, count)] if count else []

    async def rerun(self) -> None:
        """Begin a rerun of something, and check that it selects what it should."""
        previous = self.last.store
        failed = self.chance.random() < 0.8
        narrow = failed and self.chance.random() < 0.4
        selection = Selection(
            failed=failed,
            not_run=not failed or self.chance.random() < 0.6,
            error_type=self.chance.choice(TYPES) if narrow and self.chance.random() < 0.5 else None,
            group=group_of(self.chance.choice(TYPES), "bad")
            if narrow and self.chance.random() < 0.3
            else None,
        )
        keys = frozenset(f"k{self.chance.randrange(self.items)}" for _ in range(9)) if narrow else None
        if self.broken != "closing":
            await views.close(previous)
        zombies = self.chance.random() < 0.5
        expected = self._selected(selection, keys)
        own = [one.record.source for one in self.outputs if one.record.rerun is None]
        source = replace(own[-1], skip=own[0].skip, limit=own[-1].skip + (own[-1].limit or 0) - own[0].skip)
        if zombies:
            await self._settle_late(self.last)
        again = Again(selection, source, keys, await chains.look(previous))
        await self._claim(source, selection)
        cursor, seen, pages = None, 0, 0
        while True:
            scan = await next_selected(again, FILES, self.last.store, cursor=cursor, selected=seen)
            assert scan.page.start == seen
            assert scan.total >= scan.page.end
            cursor, seen, pages = scan.cursor, scan.page.end, pages + 1
            if cursor is None:
                break
        assert scan.total == seen == len(expected)
        selected = await selections.of(self.last.store)
        assert selected is not None
        found = [run async for some in selected.runs([(0, seen)] if seen else []) for run in some]
        assert [index for first, count in found for index in range(first, first + count)] == expected
        self.last.indexes = expected
        self.last.open = [(0, seen)] if seen else []

    async def go_on(self) -> None:
        """Settle some of the items that are open."""
        for place in [place for place in self.last.open if self.chance.random() < 0.8]:
            self.last.open.remove(place)
            await self._settle(self.last, place, self.outcomes)

    async def end(self) -> None:
        """End the run: in order, or without publishing anything more."""
        if self.chance.random() < 0.3 or self.last.batches == 0:
            return
        one = self.last
        low, high = one.shift, len(one.indexes)
        totals = await chains.totals((await chains.look(one.store))[-1:])
        selected = None if self.broken == "placing" else await selections.of(one.store)
        await publishing.publish(
            one.store,
            one.record.nonce,
            0,
            low,
            high - low,
            [list(part) for part in one.open],
            selected=selected,
        )
        if self.chance.random() < 0.2:
            return
        left = tiling.count(one.open)
        result = outputs.run_result(high - low, totals.succeeded, totals.failed, left)
        await publishing.finalize(one.store, one.record, result, 1)

    async def continue_(self) -> bool:
        """Run the items that follow, where all before have an outcome; returns whether they have."""
        end = await chains.complete_to(self.last.store)
        if end is None:
            return False
        assert set(self.outcomes) == set(range(self.outputs[0].shift, end))
        count = self.chance.randint(0, 10)
        await self.begin(end, count)
        self.items = max(self.items, end + count)
        return True

    # ---- what must hold

    async def check(self) -> None:
        """Check that each item has its newest outcome, and that only once, however it is looked for."""
        store = self.last.store
        for kind in KINDS:
            expected = [
                row for _, row in sorted(self.outcomes.items()) if ("output" in row) == (kind == "results")
            ]
            rows = [json.loads(line) async for line in reading.rows(store, kind)]
            assert rows == expected, kind
            rows = [json.loads(line) async for line in reading.rows(store, kind, ordered=False)]
            assert sorted(rows, key=lambda row: row["index"]) == expected, kind
            for low in [self.chance.randint(0, self.items)]:
                links = await chains.look(store)
                found = [
                    json.loads(line) async for some in reading.of_chain(links, kind, low=low) for line in some
                ]
                assert [row for row in found if row["index"] >= low] == [
                    row for row in expected if row["index"] >= low
                ]
        for index in [self.chance.randint(-1, self.items) for _ in range(6)]:
            one = await reading.find_row(store, index)
            assert (None if one is None else one[1]) == self.outcomes.get(index)
        for index in [self.chance.randint(0, self.items)]:
            one = await reading.find_key(store, f"k{index}")
            assert (None if one is None else one[1]) == self.outcomes.get(index)

    # ---- private

    async def _claim(self, source: Source, rerun: Selection | None) -> None:
        number = len(self.outputs)
        store = open_store(f"{self.root}/{number}")
        previous = self.last.store.url if number else None
        record = replace(
            outputs.record(f"n{number}"),
            source=source,
            previous=previous,
            rerun=rerun,
            execution=f"e{number}",
        )
        await markers.claim(store, record)
        self.outputs.append(Output(store, record, [], 0))

    def _selected(self, selection: Selection, keys: frozenset[str] | None) -> list[int]:
        found = []
        first = self.outputs[0].shift
        for index in range(first, max(self._end(), first)):
            row = self.outcomes.get(index)
            if row is None:
                wanted = selection.not_run
            else:
                wanted = (
                    selection.failed
                    and "error_type" in row
                    and selection.error_type in (None, row["error_type"])
                    and (selection.group in (None, group_of(row["error_type"], row["message"])))
                    and (keys is None or row["key"] in keys)
                )
            if wanted:
                found.append(index)
        return found

    def _end(self) -> int:
        return max(one.record.source.skip + (one.record.source.limit or 0) for one in self.outputs)

    async def _settle_late(self, one: Output) -> None:
        """Commit as batches do that do not know yet that their run was terminated: it must not count."""
        if await publishing.load_manifest(one.store) is None:
            for place in one.open:
                await self._settle(one, place, {})

    async def _settle(self, one: Output, place: tuple[int, int], known: dict[int, dict[str, Json]]) -> None:
        """Run two batches: one hands back some items, some of which the other one settles."""
        start, count = place
        positions = range(start, start + count)
        back = sorted(self.chance.sample(positions, self.chance.randint(0, count - 1)))
        left = [position for position in back if self.chance.random() < 0.3]
        first = [position for position in positions if position not in back]
        second = [position for position in back if position not in left]
        await self._commit(one, [place], first, back, known)
        if back:
            await self._commit(one, tiling.joined((p, 1) for p in back), second, left, known)
        if one is self.last:
            one.open = sorted([*one.open, *((position, 1) for position in left)])

    async def _commit(
        self,
        one: Output,
        items: list[tuple[int, int]],
        settled: list[int],
        back: list[int],
        known: dict[int, dict[str, Json]],
    ) -> None:
        rows: list[dict[str, Json]] = []
        for index in (one.indexes[position] for position in settled):
            row: dict[str, Json] = {"index": index, "key": f"k{index}"}
            if self.chance.random() < 0.5:
                row["output"] = f"{one.store.url}"
            else:
                row |= {"source": "", "input": one.store.url, "error_type": self.chance.choice(TYPES)}
                row["message"] = "bad"
            rows.append(row)
            known[index] = row
        good = [row for row in rows if "output" in row]
        bad = [row for row in rows if "output" not in row]
        key, token = batch_key(0, one.batches), uuid.uuid4().hex
        one.batches += 1
        lines = [
            [json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in some] for some in (good, bad)
        ]
        rest = tiling.joined((position, 1) for position in back)
        await commits.create(
            one.store,
            Commit(
                nonce=one.record.nonce,
                key=key,
                token=token,
                start=items[0][0],
                count=tiling.count(items),
                items=[] if len(items) == 1 else [list(part) for part in items],
                rests=[Rest([[*part, 0] for part in rest])] if rest else [],
                results=await outputs.write_rows(one.store, "results", key, token, lines[0], 2),
                failures=await outputs.write_rows(one.store, "failures", key, token, lines[1]),
                succeeded=len(good),
                failed=len(bad),
            ),
        )
