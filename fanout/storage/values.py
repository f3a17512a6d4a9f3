"""Values of a run's reducer as objects: those that commits name, and what is merged of them when a partition ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

from fanout.errors import StoreError
from fanout.storage import commits, once
from fanout.storage.concurrency import ahead
from fanout.storage.layout import reduced_path
from fanout.storage.records import Commit, DataObject
from fanout.storage.stores import Store

_AHEAD = 4


class Fold(Protocol):
    """What values are merged into; see `fanout.folding`."""

    async def merge(self, data: bytes, name: str = "") -> None:
        """Merge a value, from the object of that name."""

    async def encoded(self) -> bytes:
        """Return the value as JSON."""

    async def finished(self) -> bytes:
        """Return what is shown of the value, as JSON."""


async def of_partition(
    store: Store, partition: int, found: Sequence[Commit], fold: Fold
) -> DataObject | None:
    """Merge the values of the commits of a partition in the order of their first items, each once.

    Args:
        store: The output.
        partition: Its number.
        found: The commits.
        fold: A value of nothing yet.

    Returns:
        Where the merged value lies; None where nothing has succeeded. May be repeated.

    Raises:
        StoreError: A value is damaged, or is not of the items that its commit says.
    """
    values = of_commits(store, found)
    if not values:
        return None
    await merge(store, values, fold)
    return await create(store, reduced_path(partition), fold, sum(value.rows for value in values))


def of_commits(store: Store, found: Iterable[Commit]) -> list[DataObject]:
    """Return the values of some commits, in the order of their first items.

    Raises:
        StoreError: A value is not of the items that have succeeded by its commit.
    """
    for commit in found:
        reduced = commit.reduced.rows if commit.reduced is not None else 0
        if reduced != commit.succeeded:
            raise StoreError(
                f"commit {commit.key} in {store.url} counts {commit.succeeded:,} succeeded, and its reduced value "
                f"holds {reduced:,} of them: was it written by a worker with an older version of fanout?"
            )
    in_order = sorted(found, key=lambda commit: (commits.items_of(commit)[0], commit.key))
    return [commit.reduced for commit in in_order if commit.reduced is not None]


async def merge(store: Store, values: Iterable[DataObject], fold: Fold) -> None:
    """Merge values in their order; only a few are in memory at once.

    Raises:
        ObjectMissing: One is gone.
        StoreError: One is damaged.
    """

    async def each() -> AsyncGenerator[DataObject]:
        for value in values:
            yield value

    async def read(value: DataObject) -> tuple[str, bytes]:
        return value.path, await load(store, value)

    async with contextlib.aclosing(ahead(read, each(), _AHEAD)) as loaded:
        async for path, data in loaded:
            await fold.merge(data, f"{store.url}/{path}")


async def load(store: Store, value: DataObject) -> bytes:
    """Return a value.

    Raises:
        ObjectMissing: It is gone.
        StoreError: It is damaged.
    """
    data = await store.read(value.path)
    if len(data) != value.size:
        raise StoreError(
            f"{store.url}/{value.path} holds {len(data):,} bytes where {value.size:,} are committed; it is damaged"
        )
    return data


async def create(store: Store, path: str, fold: Fold, rows: int) -> DataObject:
    """Create the object of a value, and return the one that stands.

    Args:
        store: The output.
        path: Where.
        fold: The value.
        rows: Outputs that it is made of.
    """
    return DataObject(path, rows, len(await once.settle(store, path, await fold.encoded())))
