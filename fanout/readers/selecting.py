"""Planning a rerun or a compensation: which items of the source it has, by what came of them before."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import asdict, dataclass, replace

from pydantic_core import from_json

from fanout.failurekinds import is_of_group
from fanout.pages import Json, Page, Scan, Source
from fanout.readers.paging import next_page
from fanout.readers.registry import from_source
from fanout.selection import Selection
from fanout.storage import chains, selections, tiling
from fanout.storage.chains import Cursor, Link
from fanout.storage.files import Files
from fanout.storage.reading import of_chain
from fanout.storage.records import Chosen, ChosenAll
from fanout.storage.rows import index_of
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

MOST_RUNS = 10_000
"""Ranges of items in one object."""

WINDOW = 1 << 20
"""Items that are looked at together."""

PATIENCE = 30.0
"""Seconds after which a page is given out, also where nothing is selected in it."""


@dataclass(frozen=True)
class Again:
    """What a rerun goes by.

    Attributes:
        selection: What is taken up again.
        source: Where the items come from.
        keys: The keys that failed items must have; None where any will do.
        links: The outputs so far, the oldest first; none of a first compensation.
        undone: Of a compensation, the outputs that it undoes, the oldest first.
    """

    selection: Selection
    source: Source
    keys: Collection[str] | None
    links: Sequence[Link]
    undone: Sequence[Link] = ()


@dataclass(frozen=True)
class _Place:
    """How far planning has come.

    Attributes:
        step: Number of the source's next page.
        cursor: Where the last one ended.
        seen: Items that the pages so far hold, skipped ones too.
        succeeded: Items that have a result.
        failed: Failures in all outputs.
        undone: Of a compensation, items that it is to undo.
    """

    step: int = 0
    cursor: dict[str, Json] | None = None
    seen: int = 0
    succeeded: int = 0
    failed: int = 0
    undone: int = 0


async def next_selected(
    again: Again,
    files: Files,
    store: Store,
    *,
    cursor: dict[str, Json] | None = None,
    selected: int = 0,
) -> Scan:
    """Find the next page of the items that are taken up again, and write down which they are.

    Args:
        again: What the rerun goes by.
        files: For reading source files.
        store: The rerun's output.
        cursor: Where the last page ended; None at the beginning.
        selected: Items that the pages so far hold.

    Returns:
        A page of the selected items, by their positions among all that are selected; the next cursor; and how many
        there are as far as it is known.

    Raises:
        UnknownReader: No reader of that kind is registered in this process.
        SourceError: The source is missing, or changed since it was planned before.
        StoreError: An output before is damaged.
    """
    place = await _begin(again) if cursor is None else _Place(**cursor)
    reader = from_source(again.source)
    until = time.monotonic() + PATIENCE
    while True:
        scan = await next_page(
            again.source, files, store, step=place.step, cursor=place.cursor, seen=place.seen
        )
        for link in _planned_alike(again.undone or again.links):
            # Outcomes rest on the first plan of a page. A later one that differs was refused, and nothing rests on it.
            if await reader.check_same(store, link.store, scan.page):
                break
        page = await _write(again, store, scan.page, selected)
        place = replace(place, step=place.step + 1, cursor=scan.cursor, seen=scan.page.end)
        if scan.cursor is None:
            await selections.write_all(store, ChosenAll(page.end, scan.page.end))
            return Scan(page, None, page.end)
        if page.count or time.monotonic() > until:
            items = place.undone if again.undone else scan.total
            return Scan(page, asdict(place), max(page.end, _estimate(again.selection, place, items)))


async def failed_items(again: Again, low: int = 0) -> AsyncGenerator[list[int]]:
    """Yield the indexes of the items that failed and fit the selection, in order, many at a time.

    Args:
        again: What the rerun goes by.
        low: Items before this one may be left out.
    """
    selection = again.selection
    plain = selection.error_type is None and selection.group is None and again.keys is None
    async with contextlib.aclosing(of_chain(again.links, "failures", low=low)) as found:
        async for lines in found:
            if plain:
                yield _indexes(lines)
            else:
                rows = map(from_json, lines)
                yield [row["index"] for row in rows if _fits(row, again)]


async def _failed(links: Sequence[Link], low: int) -> AsyncGenerator[list[Range]]:
    """Yield the items that failed, by their newest outcome, as ranges in order, many at a time."""
    async with contextlib.aclosing(of_chain(links, "failures", low=low)) as found:
        async for lines in found:
            yield [(index, 1) for index in _indexes(lines)]


def _indexes(lines: Sequence[bytes]) -> list[int]:
    return [index_of(line, "a failure") for line in lines]


def _fits(row: dict[str, Json], again: Again) -> bool:
    selection = again.selection
    return (
        selection.error_type in (None, row["error_type"])
        and (selection.group is None or is_of_group(row, selection.group))
        and (again.keys is None or row["key"] in again.keys)
    )


async def _begin(again: Again) -> _Place:
    totals, undone = await chains.totals(again.links), await chains.totals(again.undone)
    return _Place(succeeded=totals.succeeded, failed=totals.failed, undone=undone.succeeded)


def _planned_alike(links: Sequence[Link]) -> list[Link]:
    """Return the outputs with whose pages of the source those of today must agree."""
    own = max((number for number, link in enumerate(links) if link.selected is None), default=0)
    return list(links[own:])


def _estimate(selection: Selection, place: _Place, items: int) -> int:
    left = items - place.succeeded
    if not (selection.not_run or selection.undone):
        return min(left, place.failed)
    return left if selection.failed else max(left - place.failed, 0)


async def _write(again: Again, store: Store, page: Page, position: int) -> Page:
    """Write down what is selected of a page of the source; return the page of these items, by their positions."""
    start, runs = position, list[Range]()

    async def write(some: Sequence[Range]) -> None:
        nonlocal position
        part = page.cut(some[0][0], sum(some[-1]))
        await selections.write(store, Chosen(position, [list(run) for run in some], part))
        position += tiling.count(some)

    async with contextlib.aclosing(_select(again, page)) as found:
        async for more in found:
            runs = tiling.joined([*runs, *more])
            # The last one may go on.
            while len(runs) > MOST_RUNS:
                await write(runs[:MOST_RUNS])
                runs = runs[MOST_RUNS:]
    if runs:
        await write(runs)
    count = position - start
    return Page(start, count, round(page.size * count / max(page.count, 1)))


async def _select(again: Again, page: Page) -> AsyncGenerator[list[Range]]:
    """Yield what is selected of a page, as ranges in order, many at a time."""
    selection = again.selection
    async with contextlib.AsyncExitStack() as stack:

        async def cursor(ranges: AsyncGenerator[list[Range]]) -> Cursor:
            return Cursor(await stack.enter_async_context(contextlib.aclosing(ranges)))

        failed = [await cursor(_as_ranges(again, page.start))] if selection.failed else []
        further = selection.not_run or bool(selection.undone)
        settled = [await cursor(chains.settled(link, page.start)) for link in again.links if further]
        done = [await cursor(chains.settled(link, page.start)) for link in again.undone if further]
        lost = [await cursor(_failed(again.undone, page.start))] if done else []
        for low in range(page.start, page.end, WINDOW):
            high = min(low + WINDOW, page.end)
            runs = await _upto(failed, low, high)
            if further:
                there = [(low, high - low)]
                if done:
                    # Of a compensation, only what has a result.
                    there = tiling.outside(await _upto(done, low, high), await _upto(lost, low, high))
                runs += tiling.outside(there, await _upto(settled, low, high))
            if runs:
                yield tiling.joined(runs)
            # Of a trillion items that all are done, nothing else lets heartbeats pass.
            await asyncio.sleep(0)


async def _upto(cursors: Sequence[Cursor], low: int, high: int) -> list[Range]:
    return tiling.union(tiling.clip([part for one in cursors for part in await one.upto(high)], low, high))


async def _as_ranges(again: Again, low: int) -> AsyncGenerator[list[Range]]:
    async with contextlib.aclosing(failed_items(again, low)) as found:
        async for indexes in found:
            yield [(index, 1) for index in indexes]
