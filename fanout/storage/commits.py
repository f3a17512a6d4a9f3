"""Commits: the one durable record that a batch is finished, and what holds for every set of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import codec, once, tiling
from fanout.storage.concurrency import each
from fanout.storage.layout import commit_path, commits_folder
from fanout.storage.records import Commit, DataObject
from fanout.storage.stores import Store

_READS = 64


async def find(
    store: Store, nonce: str, key: str, *, expected: tuple[int, int] | None = None
) -> Commit | None:
    """Return the commit of a key; None where the key is not decided.

    Args:
        store: The output.
        nonce: The run's.
        key: The batch's.
        expected: Start and count of the key's range, where the caller knows them.

    Raises:
        StoreError: Another run's commit stands there, or one of another range.
    """
    try:
        data = await store.read(commit_path(key))
    except ObjectMissing:
        return None
    return _checked(store, data, nonce, key, expected)


async def create(store: Store, commit: Commit) -> tuple[Commit, bool]:
    """Decide a key, or learn how it was decided.

    Args:
        store: The output.
        commit: The commit to create; its data objects are durable.

    Returns:
        The commit that stands, and whether it is this one.

    Raises:
        StoreError: The store refused every try, or another run's commit stands there, or one of another range.
    """
    data = await once.settle(store, commit_path(commit.key), codec.encode(commit))
    standing = _checked(store, data, commit.nonce, commit.key, (commit.start, commit.count))
    return standing, standing.token == commit.token


async def discard(store: Store, own: Iterable[DataObject | None], winner: Commit) -> None:
    """Delete the data objects of an execution that another's commit does not name.

    Args:
        store: The output.
        own: The data objects that this execution wrote.
        winner: The commit that stands; it may have inherited some of them.
    """
    named = {data.path for data in (winner.results, winner.failures) if data is not None}
    await store.delete(*(data.path for data in own if data is not None and data.path not in named))


async def load_partition(store: Store, nonce: str, partition: int) -> list[Commit]:
    """Return all commits of a partition, by key.

    Raises:
        StoreError: One is damaged, another run's, or at odds with itself.
    """
    listed = await store.list(commits_folder(partition))
    return await load(store, nonce, [stored.path for stored in listed])


async def load(store: Store, nonce: str, paths: Sequence[str]) -> list[Commit]:
    """Return the commits at some paths, in their order; see `load_partition`."""

    async def read(path: str) -> Commit:
        found = codec.decode(Commit, await store.read(path), f"{store.url}/{path}")
        if commit_path(found.key) != path:
            raise StoreError(f"{store.url}/{path} says that it is the commit of {found.key!r}")
        _check_owner(store, found, nonce)
        return found

    return await each(read, paths, _READS)


def outcomes(commit: Commit) -> list[tuple[int, int]]:
    """Return the ranges of items that have their outcome in a commit, in order.

    Raises:
        StoreError: The commit's ranges, counts and data objects do not add up.
    """
    what = f"commit {commit.key}"
    found = tiling.subtract(commit.start, commit.count, tiling.ranges(commit.more), what)
    settled = tiling.count(found)
    rows = [data.rows if data else 0 for data in (commit.results, commit.failures)]
    if settled != commit.succeeded + commit.failed or rows != [commit.succeeded, commit.failed]:
        raise StoreError(
            f"{what} settles {settled:,} items, but counts {commit.succeeded:,} succeeded with {rows[0]:,} rows and "
            f"{commit.failed:,} failed with {rows[1]:,} rows"
        )
    return found


def _checked(store: Store, data: bytes, nonce: str, key: str, expected: tuple[int, int] | None) -> Commit:
    found = codec.decode(Commit, data, f"{store.url}/{commit_path(key)}")
    if found.key != key:
        raise StoreError(f"{store.url}/{commit_path(key)} says that it is the commit of {found.key!r}")
    _check_owner(store, found, nonce)
    if expected is not None and (found.start, found.count) != expected:
        raise StoreError(
            f"commit {key} in {store.url} is of {found.count:,} items from {found.start}, where {expected[1]:,} from "
            f"{expected[0]} were planned: a key must name one range for ever"
        )
    return found


def _check_owner(store: Store, commit: Commit, nonce: str) -> None:
    if commit.nonce != nonce:
        raise StoreError(
            f"commit {commit.key} in {store.url} belongs to another start of the run: "
            "give the run another id or output"
        )
