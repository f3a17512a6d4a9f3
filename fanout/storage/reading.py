"""Reading an output from anywhere, while its run lives and long after."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from fanout.errors import ObjectMissing
from fanout.models import Totals
from fanout.stopping import FirstSuccess
from fanout.storage import chains, commits, markers, parts, roll_ups, tiling, views
from fanout.storage.chains import Cursor, Link
from fanout.storage.concurrency import ahead, each
from fanout.storage.finding import find_row
from fanout.storage.layout import KINDS, RUN, Kind
from fanout.storage.merging import merged
from fanout.storage.publishing import load_manifest, sum_up
from fanout.storage.records import RollUp
from fanout.storage.rows import Piece, index_of
from fanout.storage.stores import Store
from fanout.storage.views import View

__all__ = [
    "Stored",
    "chunks",
    "committed",
    "ended_partitions",
    "find_key",
    "find_row",
    "load_manifest",
    "of_chain",
    "own_chunks",
    "rows",
    "stored",
]

_AHEAD = 4
_COUNTED = 16
# Larger objects are streamed; up to here, some are read ahead.
_WHOLE_BYTES = parts.PART_BYTES


async def chunks(store: Store, kind: Kind, *, ordered: bool = True) -> AsyncGenerator[list[bytes], None]:
    """Yield the rows of an output and of those before it, many lines at a time, each row once.

    Of a live run these are the rows that were committed when its output was looked at, whatever is published
    and deleted meanwhile. A failure is left out where a later output has an outcome of its item.

    Args:
        store: The output.
        kind: Which rows.
        ordered: Whether rows come in index order; without, whatever is read first comes first.

    Raises:
        StoreError: There is no output, or it is damaged.
    """
    async with contextlib.aclosing(of_chain(await chains.look(store), kind, ordered=ordered)) as found:
        async for lines in found:
            if lines:
                yield lines


async def of_chain(
    links: Sequence[Link], kind: Kind, *, ordered: bool = True, low: int = 0
) -> AsyncGenerator[list[bytes], None]:
    """Yield the rows of outputs that were looked at; see `chunks`.

    Args:
        links: The outputs, the oldest first.
        kind: Which rows.
        ordered: Whether rows come in index order.
        low: Rows of items before this one may be left out; only where rows are ordered.
    """
    # A rerun has items among those of the outputs before it; a run that continues others comes after them.
    again = any(link.selected for link in links)
    async with contextlib.AsyncExitStack() as stack:
        found: list[tuple[AsyncGenerator[list[bytes], None], str]] = []
        for number, link in enumerate(links):
            rows = _chunks(link, kind, ordered or (again and kind == "failures"), low)
            await stack.enter_async_context(contextlib.aclosing(rows))
            later = [one for one in links[number + 1 :] if one.selected]
            if kind == "failures" and later:
                passed = [chains.settled(one, low) for one in later]
                for each in passed:
                    await stack.enter_async_context(contextlib.aclosing(each))
                rows = chains.without(rows, [Cursor(each) for each in passed], link.store.url)
                await stack.enter_async_context(contextlib.aclosing(rows))
            found.append((rows, link.store.url))
        if again and ordered:
            merged_rows = chains.interleaved(found)
            found = [(await stack.enter_async_context(contextlib.aclosing(merged_rows)), "")]
        for rows, _ in found:
            async for lines in rows:
                yield lines


async def own_chunks(store: Store, kind: Kind, *, ordered: bool = True) -> AsyncGenerator[list[bytes], None]:
    """Yield the rows of an output as `chunks` does, without those of outputs before it."""
    async with contextlib.aclosing(_chunks(await chains.look_at(store), kind, ordered, 0)) as found:
        async for lines in found:
            if lines:
                yield lines


async def rows(store: Store, kind: Kind, *, ordered: bool = True) -> AsyncGenerator[bytes, None]:
    """Yield the rows of an output one by one; see `chunks`, which is quicker."""
    async with contextlib.aclosing(chunks(store, kind, ordered=ordered)) as found:
        async for lines in found:
            for line in lines:
                yield line


async def find_key(store: Store, key: str) -> tuple[Kind, dict[str, Any]] | None:
    """Return the outcome of the first item with a key, by reading rows until it is found.

    Args:
        store: The output.
        key: What the item is called.

    Returns:
        Where the row was found, and the row; None where no such item has an outcome yet.
    """
    # JSON may hold the key in either of these forms.
    needles = {json.dumps(key).encode(), json.dumps(key, ensure_ascii=False).encode()}
    for kind in KINDS:
        async with contextlib.aclosing(chunks(store, kind, ordered=False)) as found:
            async for lines in found:
                for line in lines:
                    if any(needle in line for needle in needles):
                        row: dict[str, Any] = json.loads(line)
                        if row["key"] == key:
                            return kind, row
    return None


async def committed(store: Store) -> Totals:
    """Return how many items have an outcome by now: the sums over roll-ups and commits of this output alone.

    Raises:
        StoreError: An object is damaged, or another run's.
    """
    return (await stored(store)).totals


@dataclass(frozen=True)
class Stored:
    """What an output says of how far its run is.

    Attributes:
        totals: Sums over roll-ups and commits.
        ended: Partitions that have ended.
        at: When the last of it was written, in seconds since the epoch; None where there is nothing.
        searching: Whether the run looks for matches.
    """

    totals: Totals
    ended: int = 0
    at: float | None = None
    searching: bool = False

    @property
    def matched(self) -> int | None:
        """How many matches there are; None where the run looks for none."""
        return self.totals.matched if self.searching else None


async def stored(store: Store) -> Stored:
    """Return what an output says of how far its run is; see `committed`.

    Raises:
        StoreError: An object is damaged, or another run's.
    """
    if not await store.exists(RUN):
        return Stored(Totals())
    record = await markers.load_run(store, None)
    nonce = record.nonce

    async def count(view: View) -> Stored:
        if view.roll_up is not None:
            roll_up = await roll_ups.load(store, nonce, view.roll_up)
            return Stored(roll_up.totals, 1, await store.modified(view.roll_up))
        found = commits.of_latest_plan(await commits.load(store, nonce, view.commits))
        return Stored(sum_up(found), 0, max((commit.written for commit in found), default=None))

    found = await each(count, await views.look(store), _COUNTED)
    return Stored(
        totals=sum((one.totals for one in found), Totals()),
        ended=sum(one.ended for one in found),
        at=max((one.at for one in found if one.at is not None), default=None),
        searching=isinstance(record.stop_when, FirstSuccess),
    )


async def ended_partitions(store: Store) -> list[RollUp]:
    """Return the roll-ups of the partitions that have ended, by number.

    Raises:
        StoreError: An object is damaged, or another run's.
    """
    if not await store.exists(RUN):
        return []
    nonce = (await markers.load_run(store, None)).nonce
    paths = [view.roll_up for view in await views.look(store) if view.roll_up is not None]
    return await each(lambda path: roll_ups.load(store, nonce, path), paths, _COUNTED)


@dataclass(frozen=True)
class _Read:
    """A piece, and its lines unless it is to be streamed."""

    partition: int
    piece: Piece
    lines: list[bytes] | None


async def _chunks(link: Link, kind: Kind, ordered: bool, low: int) -> AsyncGenerator[list[bytes], None]:
    store, nonce = link.store, link.record.nonce

    async def read(item: tuple[int, Piece]) -> _Read:
        partition, piece = item
        if piece.size > _WHOLE_BYTES:
            return _Read(partition, piece, None)
        try:
            lines = await parts.read_piece(store, piece)
        except ObjectMissing:
            lines = await views.read_again(store, nonce, partition, kind, piece.outcomes)
        return _Read(partition, piece, lines)

    async with (
        contextlib.aclosing(_pieces(link, kind, ordered, low)) as found,
        contextlib.aclosing(ahead(read, found, _AHEAD, ordered=ordered)) as done,
    ):
        async for one in done:
            if one.lines is not None:
                yield one.lines
            else:
                async for lines in _stream(store, nonce, kind, one):
                    yield lines


async def _pieces(link: Link, kind: Kind, ordered: bool, low: int) -> AsyncGenerator[tuple[int, Piece], None]:
    store, nonce = link.store, link.record.nonce

    async def seen() -> AsyncGenerator[View, None]:
        at = await views.last_before(store, nonce, link.views, low) if low else 0
        for view in link.views[max(at, 0) :]:
            yield view

    async def load(view: View) -> tuple[int, list[Piece]]:
        return view.partition, (await views.load(store, nonce, view))[kind]

    async with contextlib.aclosing(ahead(load, seen(), _AHEAD, ordered=ordered)) as loaded:
        async for partition, found in loaded:
            for piece in found:
                if piece.end > low:
                    yield partition, piece


async def _stream(store: Store, nonce: str, kind: Kind, one: _Read) -> AsyncGenerator[list[bytes], None]:
    piece = one.piece
    left = piece.start
    try:
        async with contextlib.aclosing(merged(store, piece.sources)) as found:
            async for lines in found:
                yield lines
                left = index_of(lines[-1], store.url) + 1
    except ObjectMissing:
        wanted = tiling.clip(piece.outcomes, left, piece.end)
        yield await views.read_again(store, nonce, one.partition, kind, wanted)
