"""Where the rows of an output lie just now: in parts where a partition has ended, else in commits' data objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import commits, markers, parts, roll_ups, rows, tiling
from fanout.storage.layout import COMMITS, KINDS, ROLL_UPS, Kind, commits_folder, partition_of, roll_up_path
from fanout.storage.publishing import load_manifest
from fanout.storage.records import DataObject, Part
from fanout.storage.rows import Piece
from fanout.storage.stores import Store, open_store
from fanout.storage.tiling import Range

# A partition changes its place once, and its data are deleted once.
TRIES = 4


@dataclass(frozen=True)
class View:
    """What was there of one partition when an output was looked at.

    Attributes:
        partition: Its number.
        roll_up: Where its roll-up lies, if it has ended.
        commits: Where its commits lie, otherwise.
    """

    partition: int
    roll_up: str | None = None
    commits: list[str] = field(default_factory=list)


async def chain(store: Store) -> list[Store]:
    """Return an output and those that its run continues, the oldest first.

    Raises:
        StoreError: There is no marker, or the chain comes back to itself.
    """
    stores = [store]
    seen = {store.url}
    while previous := (await markers.load_run(stores[-1], None)).previous:
        stores.append(open_store(previous))
        if stores[-1].url in seen:
            raise StoreError(f"{stores[-1].url} is said to continue itself")
        seen.add(stores[-1].url)
    return stores[::-1]


async def look(store: Store) -> list[View]:
    """Return what is there of each partition, by number."""
    manifest = await load_manifest(store)
    if manifest is not None:
        ended = manifest.roll_ups
        found: dict[int, View] = {}
    else:
        found = {}
        for stored in await store.list(COMMITS):
            number = partition_of(stored.path)
            found.setdefault(number, View(number)).commits.append(stored.path)
        ended = [stored.path for stored in await store.list(ROLL_UPS)]
    for path in ended:
        found[partition_of(path)] = View(partition_of(path), path)
    return [found[number] for number in sorted(found)]


async def load(store: Store, nonce: str, view: View) -> dict[Kind, list[Piece]]:
    """Return the rows of a partition as pieces in index order."""
    if view.roll_up is None:
        found = commits.of_latest_plan(await commits.load(store, nonce, view.commits))
        return {kind: rows.pieces(found, kind) for kind in KINDS}
    roll_up = await roll_ups.load(store, nonce, view.roll_up)
    return {"results": _published(roll_up.results), "failures": _published(roll_up.failures)}


async def read_again(
    store: Store, nonce: str, partition: int, kind: Kind, wanted: Sequence[Range]
) -> list[bytes]:
    """Return the rows of some ranges from wherever they lie now, in index order.

    Raises:
        ObjectMissing: Rows that are committed are nowhere.
    """
    tries = TRIES
    while True:
        try:
            lines: list[bytes] = []
            for piece in (await _load_now(store, nonce, partition))[kind]:
                if any(tiling.clip(wanted, piece.start, piece.end)):
                    lines += _within(await parts.read_piece(store, piece), wanted, store.url)
            return lines
        except ObjectMissing:
            tries -= 1
            if not tries:
                raise


async def _load_now(store: Store, nonce: str, partition: int) -> dict[Kind, list[Piece]]:
    if await store.exists(roll_up_path(partition)):
        return await load(store, nonce, View(partition, roll_up_path(partition)))
    listed = await store.list(commits_folder(partition))
    return await load(store, nonce, View(partition, commits=[stored.path for stored in listed]))


def _published(found: Sequence[Part]) -> list[Piece]:
    return [
        Piece(((part.start, part.end - part.start),), (DataObject(part.path, part.rows, part.size),))
        for part in found
    ]


def _within(lines: list[bytes], wanted: Sequence[Range], name: str) -> list[bytes]:
    kept = []
    at = 0
    for line in lines:
        index = rows.index_of(line, name)
        while at < len(wanted) and sum(wanted[at]) <= index:
            at += 1
        if at < len(wanted) and wanted[at][0] <= index:
            kept.append(line)
    return kept
