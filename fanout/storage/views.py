"""Where the rows of an output lie just now: in parts where a partition has ended, else in commits' data objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import codec, commits, markers, once, parts, roll_ups, rows, selections, tiling
from fanout.storage.layout import (
    CLOSED,
    COMMITS,
    KINDS,
    ROLL_UPS,
    Kind,
    commits_folder,
    partition_of,
    roll_up_path,
)
from fanout.storage.publishing import load_manifest, placed
from fanout.storage.records import Closed, Commit, DataObject, Part
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


async def chain(store: Store, check: Callable[[str], str] = str) -> list[Store]:
    """Return an output and those that its run continues or takes up again, the oldest first.

    Args:
        store: The output.
        check: Refuses a URL that must not be read, else returns it.

    Raises:
        StoreError: There is no marker, or the chain comes back to itself.
    """
    stores = [store]
    seen = {store.url}
    while previous := (await markers.load_run(stores[-1], None)).previous:
        stores.append(open_store(check(previous)))
        if stores[-1].url in seen:
            raise StoreError(f"{stores[-1].url} is said to continue itself")
        seen.add(stores[-1].url)
    return stores[::-1]


async def look(store: Store) -> list[View]:
    """Return what is there of each partition, by number."""
    now = await _ended(store) or await _closed(store) or await _listed(store)
    found: dict[int, View] = {}
    for path in now.commits:
        number = partition_of(path)
        found.setdefault(number, View(number)).commits.append(path)
    for path in now.roll_ups:
        found[partition_of(path)] = View(partition_of(path), path)
    return [found[number] for number in sorted(found)]


async def close(store: Store) -> None:
    """Fix what counts of an output whose run has ended: what stands there now, or stood when it was closed before.

    Batches of a run that was terminated may still commit for a while: another run that has taken up their items by
    then must not meet a second outcome of them.
    """
    if await load_manifest(store) is None:
        await once.settle(store, CLOSED, codec.encode(await _listed(store)))


async def last_before(store: Store, nonce: str, found: Sequence[View], index: int) -> int:
    """Return the position of the last partition that is known to begin at or before an item; -1 for none.

    Of a live partition only some commit is known: the item may also be in the next partition, before that commit.
    """
    selected = await selections.of(store)
    low, high = 0, len(found)
    while low < high:
        middle = (low + high) // 2
        first = await _some_item(store, nonce, found[middle])
        if selected is not None:
            first = await selected.index_of(first)
        if first <= index:
            low = middle + 1
        else:
            high = middle
    return low - 1


async def load(store: Store, nonce: str, view: View) -> dict[Kind, list[Piece]]:
    """Return the rows of a partition as pieces in index order."""
    if view.roll_up is None:
        found = await load_commits(store, nonce, view)
        selected = await selections.of(store)
        return {kind: await placed(selected, rows.pieces(found, kind)) for kind in KINDS}
    roll_up = await roll_ups.load(store, nonce, view.roll_up)
    return {"results": _published(roll_up.results), "failures": _published(roll_up.failures)}


async def load_commits(store: Store, nonce: str, view: View) -> list[Commit]:
    """Return the commits that count of a partition without a roll-up."""
    return commits.of_latest_plan(await commits.load(store, nonce, view.commits))


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


async def _listed(store: Store) -> Closed:
    # Where a partition ends in between, its roll-up is seen.
    committed = [stored.path for stored in await store.list(COMMITS)]
    return Closed([stored.path for stored in await store.list(ROLL_UPS)], committed)


async def _ended(store: Store) -> Closed | None:
    manifest = await load_manifest(store)
    return None if manifest is None else Closed(manifest.roll_ups, [])


async def _closed(store: Store) -> Closed | None:
    try:
        return codec.decode(Closed, await store.read(CLOSED), f"{store.url}/{CLOSED}")
    except ObjectMissing:
        return None


async def _some_item(store: Store, nonce: str, view: View) -> int:
    if view.roll_up is not None:
        return (await roll_ups.load(store, nonce, view.roll_up)).start
    return (await commits.load(store, nonce, view.commits[:1]))[0].start


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
