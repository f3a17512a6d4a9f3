"""Looking up the outputs of many items at once, such as those of a batch, in outputs that read as one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import tiling, views
from fanout.storage.chains import Link
from fanout.storage.finding import near
from fanout.storage.records import DataObject
from fanout.storage.rows import index_of
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

_FIRST = 64
_BLOCK_BYTES = 256 * 1024
_OUTPUT = b',"output":'


async def outputs(links: Sequence[Link], indexes: Sequence[int], most: int) -> list[bytes]:
    """Return the outputs of items as JSON: of all, or of the first so many that hold the bytes allowed.

    Args:
        links: The outputs that read as one, the oldest first.
        indexes: The items, in order; each has a result.
        most: Bytes to return at most; but at least one output.

    Raises:
        StoreError: An item has no result.
    """
    found: list[bytes] = []
    held, chunk = 0, _FIRST
    while len(found) < len(indexes) and (not found or held < most):
        wanted = indexes[len(found) : len(found) + chunk]
        for output in await _outputs(links, wanted):
            if found and held + len(output) > most:
                return found
            found.append(output)
            held += len(output)
        # As many as will probably fit.
        chunk = max(1, (most - held) * len(found) // max(held, 1))
    return found


async def _outputs(links: Sequence[Link], indexes: Sequence[int]) -> list[bytes]:
    wanted = set(indexes)
    found: dict[int, bytes] = {}
    for link in links:
        if len(found) < len(wanted):
            async for index, line in _rows(link, indexes[0], indexes[-1] + 1):
                if index in wanted:
                    found[index] = line[line.index(_OUTPUT) + len(_OUTPUT) : -1]
    missing = next((index for index in indexes if index not in found), None)
    if missing is not None:
        raise StoreError(f"{links[-1].store.url} holds no result of item {missing}, which it is to have")
    return [found[index] for index in indexes]


async def _rows(link: Link, low: int, high: int) -> AsyncGenerator[tuple[int, bytes]]:
    """Yield the results of an output from one item to below another, with their indexes."""
    store, nonce = link.store, link.record.nonce
    at = await views.last_before(store, nonce, link.views, low)
    for view in link.views[max(at, 0) :]:
        pieces = (await views.load(store, nonce, view))["results"]
        if pieces and pieces[0].start >= high:
            return
        for piece in pieces:
            if not (wanted := tiling.clip(piece.outcomes, low, high)):
                continue
            for source in piece.sources:
                for line in await _lines(store, nonce, view.partition, source, wanted):
                    yield index_of(line, store.url), line


async def _lines(
    store: Store, nonce: str, partition: int, source: DataObject, wanted: Sequence[Range]
) -> list[bytes]:
    try:
        return await _read(store, source, wanted[0][0], sum(wanted[-1]))
    except ObjectMissing:
        # Published, and deleted, since it was looked for.
        return await views.read_again(store, nonce, partition, "results", wanted)


async def _read(store: Store, source: DataObject, low: int, high: int) -> list[bytes]:
    """Return the lines of an object from one item to below another; they are in index order."""
    name = f"{store.url}/{source.path}"
    at, _ = await near(store, source, low)
    kept: list[bytes] = []
    carry = b""
    while at < source.size:
        block = await store.read_range(source.path, at, min(at + _BLOCK_BYTES, source.size))
        at += len(block)
        *lines, carry = (carry + block).split(b"\n")
        kept += [line for line in lines if low <= index_of(line, name) < high]
        if lines and index_of(lines[-1], name) >= high - 1:
            break
    return kept
