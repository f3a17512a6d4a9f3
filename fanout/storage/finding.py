"""Finding one item in an output without reading the whole of it."""

from __future__ import annotations

import json
from typing import Any

from fanout.errors import ObjectMissing
from fanout.storage import markers, tiling, views
from fanout.storage.layout import KINDS, Kind
from fanout.storage.records import DataObject
from fanout.storage.rows import index_of
from fanout.storage.stores import Store

_READ_BYTES = 256 * 1024
_PROBE_BYTES = 64 * 1024
_ROW_START_BYTES = 64


async def find_row(store: Store, index: int) -> tuple[Kind, dict[str, Any]] | None:
    """Return the outcome of an item; None where it has none yet.

    Reads a few objects, or a few blocks of large ones, however many items the run has.

    Args:
        store: The output; those that its run continues or takes up again are searched after it, the newest first.
        index: The item's.

    Returns:
        Where the row was found, and the row.
    """
    for output in reversed(await views.chain(store)):
        for left in reversed(range(views.TRIES)):
            try:
                found = await _find_row(output, index)
            except ObjectMissing:
                # Published and deleted between two reads.
                if not left:
                    raise
            else:
                break
        if found is not None:
            return found
    return None


async def _find_row(store: Store, index: int) -> tuple[Kind, dict[str, Any]] | None:
    nonce = (await markers.load_run(store, None)).nonce
    found = await views.look(store)
    at = await views.last_before(store, nonce, found, index)
    for view in found[max(at, 0) : at + 2]:
        pieces = await views.load(store, nonce, view)
        for kind in KINDS:
            for piece in pieces[kind]:
                if tiling.clip(piece.outcomes, index, index + 1):
                    for source in piece.sources:
                        line = await _search(store, source, index)
                        if line is not None:
                            return kind, json.loads(line)
    return None


async def _search(store: Store, source: DataObject, index: int) -> bytes | None:
    """Return the line of an item in an object whose lines are in index order."""
    name = f"{store.url}/{source.path}"
    low, high = await near(store, source, index)
    for line in (await store.read_range(source.path, low, high)).split(b"\n"):
        if line and index_of(line, name) == index:
            return line
    return None


async def near(store: Store, source: DataObject, index: int) -> tuple[int, int]:
    """Return where the line of an item is, if there is one, in an object whose lines are in index order.

    Returns:
        The beginning of a line, and an end: a few blocks at most, unless a line is large.
    """
    name = f"{store.url}/{source.path}"
    low, high = 0, source.size
    while high - low > _READ_BYTES:
        middle = (low + high) // 2
        block = await store.read_range(source.path, middle, min(middle + _PROBE_BYTES, high))
        line = block.partition(b"\n")[2]
        if len(line) < _ROW_START_BYTES:
            # A row larger than the probe: what remains is read whole.
            break
        at = middle + len(block) - len(line)
        if index_of(line, name) <= index:
            low = at
        else:
            high = at
    return low, high
