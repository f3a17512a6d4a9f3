"""Roll-ups: all commits of one partition in one object, once it has ended."""

from __future__ import annotations

from fanout.errors import ObjectMissing, StoreError
from fanout.storage import codec, once
from fanout.storage.layout import roll_up_path
from fanout.storage.records import RollUp
from fanout.storage.stores import Store


async def find(store: Store, nonce: str, partition: int) -> RollUp | None:
    """Return the roll-up of a partition; None while it has not ended.

    Raises:
        StoreError: Another run's roll-up stands there, or it is damaged.
    """
    try:
        return await load(store, nonce, roll_up_path(partition))
    except ObjectMissing:
        return None


async def load(store: Store, nonce: str, path: str) -> RollUp:
    """Return the roll-up at a path.

    Raises:
        ObjectMissing: There is none.
        StoreError: It is another run's, or damaged.
    """
    return _checked(store, nonce, path, await store.read(path))


async def create(store: Store, roll_up: RollUp) -> RollUp:
    """Create a partition's roll-up, and return the one that stands.

    Raises:
        StoreError: The store refused every try, or what stands there is another run's.
    """
    path = roll_up_path(roll_up.partition)
    return _checked(store, roll_up.nonce, path, await once.settle(store, path, codec.encode(roll_up)))


def _checked(store: Store, nonce: str, path: str, data: bytes) -> RollUp:
    found = codec.decode(RollUp, data, f"{store.url}/{path}")
    if found.nonce != nonce:
        raise StoreError(
            f"{store.url}/{path} belongs to another start of the run: give the run another id or output"
        )
    if roll_up_path(found.partition) != path:
        raise StoreError(f"{store.url}/{path} says that it is the roll-up of partition {found.partition}")
    return found
