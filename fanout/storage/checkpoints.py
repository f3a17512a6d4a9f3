"""Checkpoints: what a long batch has done so far, for the next execution of its key to go on from.

A checkpoint is immutable and complete in itself, so any one of them will do, and only ever one: a union of several
would take items twice.
"""

from __future__ import annotations

from fanout.errors import ObjectMissing, StoreUnavailable
from fanout.storage import codec, commits
from fanout.storage.concurrency import each
from fanout.storage.layout import checkpoint_path, checkpoints_folder
from fanout.storage.records import Commit
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

_TRIES = 4
_READS = 8


async def save(store: Store, checkpoint: Commit, number: int) -> str:
    """Store a checkpoint; the rows that it names are durable.

    Args:
        store: The output.
        checkpoint: What has been done so far.
        number: Of the execution's checkpoints, from 0; the one before is deleted.

    Returns:
        Where it lies.
    """
    path = checkpoint_path(checkpoint.key, checkpoint.token, number)
    await store.create_own(path, codec.encode(checkpoint))
    if number:
        await store.delete(checkpoint_path(checkpoint.key, checkpoint.token, number - 1))
    return path


async def latest(store: Store, nonce: str, key: str, items: list[Range]) -> Commit | None:
    """Return the checkpoint of a key that has come furthest; None where there is none.

    Args:
        store: The output.
        nonce: The run's.
        key: The batch's.
        items: The ranges of the key, in order.

    Raises:
        StoreError: One is another run's or of another set of items, or damaged.
    """
    for _ in range(_TRIES):
        listed = await store.list(checkpoints_folder(key))
        try:
            found = await each(store.read, [stored.path for stored in listed], _READS)
        except ObjectMissing:
            # Its execution lives, and has just stored a later one.
            continue
        read = [commits.checked(store, data, nonce, key, items) for data in found]
        return max(read, key=lambda one: one.succeeded + one.failed, default=None)
    raise StoreUnavailable(f"the checkpoints of {key} in {store.url} change faster than they can be read")
