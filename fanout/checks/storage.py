"""Looks at a store from here: writes an object, reads it back, sees it refused a second time, and removes it."""

from __future__ import annotations

import time
import uuid

from fanout.checks.check import Check, look
from fanout.errors import ObjectExists
from fanout.storage.roots import display, join
from fanout.storage.stores import open_store

SKEW = 5.0
"""Seconds by which clocks may differ: retries and rates go by them."""

_DATA = b"written by `fanout doctor`; may be deleted\n"


async def look_at_store(url: str) -> list[Check]:
    """Look at a store, and at its clock.

    Args:
        url: Of the store.
    """
    seen: list[Check] = []

    async def use() -> Check:
        store = open_store(join(url, "_doctor"))
        path = uuid.uuid4().hex
        before = time.time()
        await store.create(path, _DATA)
        try:
            if await store.read(path) != _DATA:
                return Check("store", "failed", f"{display(url)} returns something else than was written")
            seen.append(clock("store's clock", await store.modified(path), before, time.time()))
            try:
                await store.create(path, _DATA)
            except ObjectExists:
                return Check("store", "ok", f"{display(url)} can be written and read from here")
            return Check(
                "store",
                "failed",
                f"{display(url)} lets an object be created that exists: outputs could not be exactly once",
                "use a store with conditional writes (If-None-Match), as S3, GCS and Azure have them",
            )
        finally:
            await store.delete(path)
            await store.prune()

    how = "see FANOUT_STORE or --store, and the credentials: AWS_…, GOOGLE_APPLICATION_CREDENTIALS, AZURE_…"
    return [await look("store", use(), next=how), *seen]


def clock(name: str, there: float, before: float, after: float) -> Check:
    """Compare a clock with ours.

    Args:
        name: Whose clock it is.
        there: What it said, in seconds since the epoch.
        before: What ours said no later than that.
        after: What ours said no earlier than that.
    """
    apart = max(before - there, there - after, 0.0)
    if apart <= SKEW:
        return Check(name, "ok", f"within {SKEW:g} s of the clock here")
    direction = "behind" if there < before else "ahead of"
    return Check(name, "warning", f"{apart:.0f} s {direction} the clock here", "timedatectl status")
