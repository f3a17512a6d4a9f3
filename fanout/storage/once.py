"""Creating the one object that decides something, whatever the store answers."""

from __future__ import annotations

import asyncio

from fanout.errors import ObjectExists, StoreUnavailable, UsageError
from fanout.storage.stores import Store

# Seconds before each further try: long enough for a passing fault, short beside a heartbeat timeout.
PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)


async def settle(store: Store, path: str, data: bytes) -> bytes:
    """Create an object, and return what stands under its name: the data given, or another's.

    An error of the create says nothing: its answer may have been lost, "exists" may speak of this very request,
    and a conflict may leave nothing behind. So whatever happened, what stands there is read back, and only where
    nothing does is it created again.

    Raises:
        StoreError: Nothing could be created or read in all tries.
    """
    for pause in PAUSES:
        found = await _create_or_read(store, path, data)
        if isinstance(found, bytes):
            return found
        await asyncio.sleep(pause)
    found = await _create_or_read(store, path, data)
    if isinstance(found, bytes):
        return found
    if isinstance(found, ObjectExists):
        raise StoreUnavailable(f"{found}, and cannot be read; try again") from found
    raise found


async def _create_or_read(store: Store, path: str, data: bytes) -> bytes | Exception:
    try:
        await store.create(path, data)
    except UsageError:
        raise
    except Exception as error:
        try:
            return await store.read(path)
        except Exception:
            # Absent or unknown: a further create is refused if something stands there after all.
            return error
    return data
