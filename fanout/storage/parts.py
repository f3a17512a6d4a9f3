"""Published parts: few objects of good size under deterministic names, in index order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fanout.errors import ObjectExists, ObjectMissing, StoreError
from fanout.storage import rows
from fanout.storage.concurrency import each
from fanout.storage.layout import Kind, part_path
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
    numbered = list(enumerate(group(pieces)))

    async def one(item: tuple[int, list[Piece]]) -> Part:
        number, members = item
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
            await _write_merged(store, members, part)
        return part

    return await each(one, numbered, _WRITES)


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


async def _write_merged(store: Store, members: Sequence[Piece], part: Part) -> None:
    lines = []
    for piece in members:
        lines += await read_piece(store, piece)
    data = b"\n".join(lines) + b"\n"
    try:
        await store.create(part.path, data)
    except ObjectExists:
        # An earlier or concurrent attempt made the same of the same commits.
        if await store.read(part.path) != data:
            raise StoreError(
                f"{store.url}/{part.path} does not hold the rows to be published: something else wrote it; "
                "move it away"
            ) from None
