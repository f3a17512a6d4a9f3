"""What a run's reducer has made of all its results: those of outputs before it too, where they read as one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from pydantic_core import from_json

from fanout.errors import FanoutError, ObjectMissing, StoreError
from fanout.models import RunResult
from fanout.storage import chains, once, roll_ups, values, views
from fanout.storage.chains import Link
from fanout.storage.concurrency import each
from fanout.storage.layout import REDUCED, REDUCED_TOTAL
from fanout.storage.publishing import load_manifest
from fanout.storage.records import DataObject
from fanout.storage.stores import Store, open_store
from fanout.storage.values import Fold
from fanout.storage.views import View

INLINE_BYTES = 8 * 1024
"""A finished value that is larger does not travel with the result: it would be in the run's history."""

_READS = 64


async def complete(
    store: Store, result: RunResult, new: Callable[[], Fold], check: Callable[[str], str]
) -> RunResult:
    """Return the result of a run whose partitions are published, with what the reducer has made. May be repeated.

    Args:
        store: The output.
        result: What else the run did.
        new: Returns a value of nothing yet.
        check: Refuses a URL that must not be read, else returns it.

    Raises:
        StoreError: A value is gone or damaged.
    """
    if (manifest := await load_manifest(store)) is not None:
        return manifest.result
    fold = new()
    for link in await chains.look(store, check):
        await fold.merge(await _total(link, new), f"{link.store.url}/{REDUCED_TOTAL}")
    data = await once.settle(store, REDUCED, await fold.finished())
    return replace(
        result,
        reduced=from_json(data) if len(data) <= INLINE_BYTES else None,
        reduced_url=f"{store.url}/{REDUCED}",
    )


async def with_reduced(result: RunResult) -> RunResult:
    """Return a result with the value in it where that was too large to travel with it, and can be read from here."""
    if not result.reduced_url or result.reduced is not None:
        return result
    url, _, name = result.reduced_url.rpartition("/")
    # Nobody must lose the rest of the result: it says where the value lies.
    with contextlib.suppress(FanoutError):
        return replace(result, reduced=from_json(await open_store(url).read(name)))
    return result


async def _total(link: Link, new: Callable[[], Fold]) -> bytes:
    """Return the value of one output alone, that of its partitions in their order, and keep it there."""
    store, nonce = link.store, link.record.nonce
    try:
        return await store.read(REDUCED_TOTAL)
    except ObjectMissing:
        pass

    async def of(view: View) -> list[DataObject]:
        if view.roll_up is None:
            return values.of_commits(store, await views.load_commits(store, nonce, view))
        roll_up = await roll_ups.load(store, nonce, view.roll_up)
        if (roll_up.reduced.rows if roll_up.reduced is not None else 0) != roll_up.totals.succeeded:
            raise StoreError(
                f"{store.url}/{view.roll_up} counts {roll_up.totals.succeeded:,} succeeded, and its reduced value "
                "holds another number of them: was it written by a worker with an older version of fanout?"
            )
        return [] if roll_up.reduced is None else [roll_up.reduced]

    fold = new()
    found = await each(of, link.views, _READS)
    await values.merge(store, [value for some in found for value in some], fold)
    return await once.settle(store, REDUCED_TOTAL, await fold.encoded())
