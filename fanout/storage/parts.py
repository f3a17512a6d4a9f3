"""Published parts: few objects of good size under deterministic names, in index order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import once, rows
from fanout.storage.concurrency import each
from fanout.storage.layout import Kind, part_path
from fanout.storage.merging import merged
from fanout.storage.records import Part
from fanout.storage.rows import Piece
from fanout.storage.stores import Store

# Below this a request costs more than the bytes that it moves.
SMALL_BYTES = 1024 * 1024
PART_BYTES = 16 * 1024 * 1024

_WRITES = 4


def group(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Return the pieces of each part: large ones alone, small neighbors together."""
    groups: list[list[Piece]] = []
    size = PART_BYTES
    for piece in pieces:
        if piece.size >= SMALL_BYTES:
            groups.append([piece])
            size = PART_BYTES
        elif size + piece.size > PART_BYTES:
            groups.append([piece])
            size = piece.size
        else:
            groups[-1].append(piece)
            size += piece.size
    return groups


async def write(store: Store, kind: Kind, partition: int, pieces: Sequence[Piece]) -> list[Part]:
    """Publish the rows of a partition, and return its parts in index order.

    Raises:
        StoreError: A data object is gone or damaged, or something else stands under a part's name.
    """
    numbered: list[tuple[int, list[Piece]]] = []
    number = 0
    for members in group(pieces):
        numbered.append((number, members))
        number += _parts_of(members)

    async def one(item: tuple[int, list[Piece]]) -> list[Part]:
        number, members = item
        if _streams(members):
            return await _write_streamed(store, kind, partition, number, members[0])
        part = Part(
            path=part_path(kind, partition, number),
            start=members[0].start,
            end=members[-1].end,
            rows=sum(piece.rows for piece in members),
            size=sum(piece.size for piece in members),
        )
        if all(len(piece.sources) == 1 for piece in members):
            await store.publish([piece.sources[0].path for piece in members], part.path)
        else:
            lines = [line for piece in members for line in await read_piece(store, piece)]
            await _create(store, part.path, lines)
        return [part]

    return [part for parts in await each(one, numbered, _WRITES) for part in parts]


async def check_sizes(store: Store, folder: str, pieces: Iterable[Piece]) -> None:
    """Check that data objects are there, and as large as their commits say.

    Raises:
        ObjectMissing: One is gone.
        StoreError: One has another size.
    """
    sizes = {stored.path: stored.size for stored in await store.list(folder)}
    for piece in pieces:
        for source in piece.sources:
            found = sizes.get(source.path)
            if found is None:
                raise ObjectMissing(f"{store.url}/{source.path} is committed, and does not exist")
            if found != source.size:
                raise StoreError(
                    f"{store.url}/{source.path} holds {found:,} bytes where {source.size:,} are committed; "
                    "it is damaged"
                )


async def read_piece(store: Store, piece: Piece) -> list[bytes]:
    """Return the lines of a piece in index order.

    Raises:
        ObjectMissing: A data object is gone.
        StoreError: One is damaged.
    """
    objects = []
    for source in piece.sources:
        name = f"{store.url}/{source.path}"
        objects.append(rows.split(await store.read(source.path), source.rows, name))
    return objects[0] if len(objects) == 1 else rows.merge(objects, f"{store.url}/{piece.sources[0].path}")


def _streams(members: Sequence[Piece]) -> bool:
    """Tell whether a group is one piece that is too large to be merged in memory."""
    return len(members) == 1 and len(members[0].sources) > 1 and members[0].size > PART_BYTES


def _parts_of(members: Sequence[Piece]) -> int:
    """Return how many parts a group may become: their names must not depend on what is read."""
    return members[0].size // PART_BYTES + 1 if _streams(members) else 1


async def _write_streamed(store: Store, kind: Kind, partition: int, number: int, piece: Piece) -> list[Part]:
    found: list[Part] = []
    lines: list[bytes] = []
    size = 0
    start = piece.start

    async def close(end: int) -> None:
        path = part_path(kind, partition, number + len(found))
        await _create(store, path, lines)
        found.append(Part(path, start, end, len(lines), size))

    async with contextlib.aclosing(merged(store, piece.sources)) as chunks:
        async for chunk in chunks:
            for line in chunk:
                lines.append(line)
                size += len(line) + 1
                if size >= PART_BYTES:
                    end = rows.index_of(line, store.url) + 1
                    await close(end)
                    lines, size, start = [], 0, end
    if lines:
        await close(piece.end)
    return found


async def _create(store: Store, path: str, lines: Sequence[bytes]) -> None:
    data = b"\n".join(lines) + b"\n"
    # An earlier or concurrent attempt makes the same of the same commits.
    if await once.settle(store, path, data) != data:
        raise StoreError(
            f"{store.url}/{path} does not hold the rows to be published: something else wrote it; move it away"
        )
