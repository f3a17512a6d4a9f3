"""Commits: the one durable record that a batch is finished, and what holds for every set of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import codec, once, tiling
from fanout.storage.concurrency import each
from fanout.storage.layout import commit_path, commits_folder, planned
from fanout.storage.records import Commit, DataObject
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

_READS = 64


async def find(
    store: Store, nonce: str, key: str, *, expected: Sequence[Range] | None = None
) -> Commit | None:
    """Return the commit of a key; None where the key is not decided.

    Args:
        store: The output.
        nonce: The run's.
        key: The batch's.
        expected: The key's items as ranges in order, where the caller knows them.

    Raises:
        StoreError: Another run's commit stands there, or one of other items.
    """
    try:
        data = await store.read(commit_path(key))
    except ObjectMissing:
        return None
    return checked(store, data, nonce, key, expected)


async def create(store: Store, commit: Commit) -> tuple[Commit, bool]:
    """Decide a key, or learn how it was decided.

    Args:
        store: The output.
        commit: The commit to create; its data objects are durable.

    Returns:
        The commit that stands, and whether it is this one.

    Raises:
        StoreError: The store refused every try, or another run's commit stands there, or one of other items.
    """
    mine = codec.encode(commit)
    data = await once.settle(store, commit_path(commit.key), mine)
    if data == mine:
        return commit, True
    standing = checked(store, data, commit.nonce, commit.key, items_of(commit))
    return standing, standing.token == commit.token


async def discard(store: Store, own: Iterable[DataObject], winner: Commit) -> None:
    """Delete the data objects of an execution that another's commit does not name.

    Args:
        store: The output.
        own: The data objects that this execution wrote.
        winner: The commit that stands; it may have inherited some of them.
    """
    named = {data.path for data in (*winner.results, *winner.failures, winner.reduced) if data is not None}
    await store.delete(*(data.path for data in own if data.path not in named))


async def load_partition(
    store: Store, nonce: str, partition: int, keys: Mapping[str, Sequence[int]] | None = None
) -> list[Commit]:
    """Return the commits of a partition, by key.

    Args:
        store: The output.
        nonce: The run's.
        partition: Its number.
        keys: The keys that its workflow went by: for each planner the first number and the one after the last. Those
            of a workflow that was reset since are passed over. Empty for all.

    Raises:
        StoreError: One is damaged, another run's, or at odds with itself.
    """
    listed = await store.list(commits_folder(partition))
    paths = [stored.path for stored in listed]
    return await load(store, nonce, [path for path in paths if not keys or _is_planned(path, keys)])


async def load(store: Store, nonce: str, paths: Sequence[str]) -> list[Commit]:
    """Return the commits at some paths, in their order; see `load_partition`."""

    async def read(path: str) -> Commit:
        found = codec.decode(Commit, await store.read(path), f"{store.url}/{path}")
        if commit_path(found.key) != path:
            raise StoreError(f"{store.url}/{path} says that it is the commit of {found.key!r}")
        _check_owner(store, found, nonce)
        return found

    return await each(read, paths, _READS)


def of_latest_plan(found: Sequence[Commit]) -> list[Commit]:
    """Return the commits of a live partition that count, as far as they themselves can say.

    Where its workflow was reset, items may have been planned twice: the commits of the later plan come before those of
    earlier ones that settle any of its items. What counts in the end, its publication says.
    """
    began: dict[str, float] = {}
    for commit in found:
        planner = planned(commit.key)[0]
        began[planner] = min(commit.written, began.get(planner, commit.written))
    if len(began) < 2:
        return list(found)
    kept: list[Commit] = []
    settled: list[Range] = []
    for commit in sorted(found, key=lambda one: -began[planned(one.key)[0]]):
        own = outcomes(commit)
        if not any(tiling.clip(settled, start, start + count) for start, count in own):
            kept.append(commit)
            settled += own
    return sorted(kept, key=lambda one: one.key)


def outcomes(commit: Commit) -> list[Range]:
    """Return the ranges of items that have their outcome in a commit, in order.

    Raises:
        StoreError: The commit's ranges, counts and data objects do not add up.
    """
    what = f"commit {commit.key}"
    found = tiling.without(items_of(commit), remaining(commit), what)
    settled = tiling.count(found)
    rows = [sum(data.rows for data in written) for written in (commit.results, commit.failures)]
    if settled != commit.succeeded + commit.failed or rows != [commit.succeeded, commit.failed]:
        raise StoreError(
            f"{what} settles {settled:,} items, but counts {commit.succeeded:,} succeeded with {rows[0]:,} rows and "
            f"{commit.failed:,} failed with {rows[1]:,} rows"
        )
    return found


def items_of(commit: Commit) -> list[Range]:
    """Return the items of a commit's key as ranges, in order."""
    return tiling.ranges(commit.items) if commit.items else [(commit.start, commit.count)]


def remaining(commit: Commit) -> list[Range]:
    """Return the items that a commit hands back, as ranges, in order."""
    runs = [run[:2] for rest in commit.rests for run in rest.runs]
    return sorted(tiling.ranges([*commit.more, *runs]))


def checked(
    store: Store, data: bytes, nonce: str, key: str, expected: Sequence[Range] | None = None
) -> Commit:
    """Return the commit or checkpoint that an object holds.

    Raises:
        StoreError: It is damaged, another run's, or of another key or other items than expected.
    """
    found = codec.decode(Commit, data, f"{store.url}/{commit_path(key)}")
    if found.key != key:
        raise StoreError(f"{store.url}/{commit_path(key)} says that it is the commit of {found.key!r}")
    _check_owner(store, found, nonce)
    if expected is not None and items_of(found) != list(expected):
        raise StoreError(
            f"commit {key} in {store.url} is of {found.count:,} items from {found.start}, where "
            f"{tiling.count(expected):,} from {expected[0][0]} were planned: a key must name one set for ever"
        )
    return found


def _is_planned(path: str, keys: Mapping[str, Sequence[int]]) -> bool:
    planner, number = planned(path.removesuffix(".json"))
    first, end = keys.get(planner, (0, 0))
    return first <= number < end


def _check_owner(store: Store, commit: Commit, nonce: str) -> None:
    if commit.nonce != nonce:
        raise StoreError(
            f"commit {commit.key} in {store.url} belongs to another start of the run: "
            "give the run another id or output"
        )
