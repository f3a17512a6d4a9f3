"""Outputs that nobody needs any more: found by their markers, measured, removed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from fanout.errors import StoreError, UsageError
from fanout.storage import codec, markers, roots
from fanout.storage.concurrency import each
from fanout.storage.layout import MANIFEST, RUN, check_run_id, output_url, staged_path
from fanout.storage.publishing import load_manifest
from fanout.storage.records import Manifest, RunRecord
from fanout.storage.stores import open_store

_LOOKS = 16
_DELETES = 1000


@dataclass(frozen=True)
class Stored:
    """The output of one execution of a run, as its marker names it.

    Attributes:
        store: URL of the store of all runs.
        url: Where the output lies.
        record: Its marker.
        manifest: What the run did; None where it ended without one, or has not ended.
    """

    store: str
    url: str
    record: RunRecord
    manifest: Manifest | None


@dataclass(frozen=True)
class Extent:
    """How much there is of something.

    Attributes:
        objects: How many objects.
        bytes: Of all of them.
    """

    objects: int = 0
    bytes: int = 0

    def __add__(self, other: Extent) -> Extent:
        return Extent(self.objects + other.objects, self.bytes + other.bytes)


async def find_all(store_url: str) -> list[Stored]:
    """Return the outputs of all runs in a store: what has the marker of the run and execution that it lies under.

    Raises:
        StoreError: The store cannot be read.
    """
    names = [name for name in await open_store(store_url).folders() if _is_run_id(name)]
    found = await each(lambda name: find_of(store_url, name), names, _LOOKS)
    return [output for outputs in found for output in outputs]


async def find_of(store_url: str, run_id: str) -> list[Stored]:
    """Return the outputs of all executions of a run.

    Raises:
        UsageError: It cannot be the id of a run.
        StoreError: The store cannot be read.
    """
    folder = open_store(roots.join(store_url, check_run_id(run_id)))
    found = [await _look(store_url, run_id, name) for name in await folder.folders()]
    return [output for output in found if output is not None]


async def _look(store_url: str, run_id: str, execution: str) -> Stored | None:
    url = output_url(store_url, run_id, execution)
    store = open_store(url)
    try:
        record = codec.decode(RunRecord, await store.read(RUN), f"{url}/{RUN}")
    except StoreError:
        # None, or somebody else's file of that name; one that cannot be read now is left alone as well.
        return None
    if (record.run_id, record.execution) != (run_id, execution):
        return None
    return Stored(store_url, url, record, await load_manifest(store))


async def measure(output: Stored) -> Extent:
    """Return how much there is of an output, its staged items included."""
    extent = Extent()
    for url, prefix in ((output.url, ""), (output.store, _staged(output))):
        found = await open_store(url).list(prefix)
        extent += Extent(len(found), sum(stored.size for stored in found))
    return extent


async def remove(output: Stored) -> Extent:
    """Delete an output and its staged items; returns how much there was.

    The marker goes last: what is cut off in the middle is found again, and can be removed again.

    Raises:
        StoreError: An object cannot be deleted.
    """
    extent = await measure(output)
    whole, store = open_store(output.store), open_store(output.url)
    staged = _staged(output)
    await _delete(output.store, [stored.path for stored in await whole.list(staged)])
    last = (MANIFEST, RUN)
    await _delete(output.url, [found.path for found in await store.list() if found.path not in last])
    for name in last:
        await store.delete(name)
    markers.forget(store)
    await store.prune()
    run_folder = open_store(roots.join(output.store, output.record.run_id))
    await open_store(roots.join(output.store, staged)).prune()
    await run_folder.prune()
    return extent


def needed(kept: list[Stored], known: dict[str, Stored]) -> set[str]:
    """Return the URLs of the outputs that others go on from: they continue them, or compensate what is in them.

    Args:
        kept: Outputs that stay.
        known: All outputs, by URL.
    """
    found: set[str] = set()
    waiting = [url for output in kept for url in _goes_on_from(output)]
    while waiting:
        url = waiting.pop()
        if url not in found:
            found.add(url)
            waiting += _goes_on_from(known[url]) if url in known else []
    return found


def _goes_on_from(output: Stored) -> list[str]:
    undone = None if output.record.undone is None else output.record.undone.output
    return [url for url in (output.record.previous, undone) if url is not None]


async def _delete(url: str, paths: list[str]) -> None:
    store = open_store(url)
    for start in range(0, len(paths), _DELETES):
        await store.delete(*paths[start : start + _DELETES])


def _staged(output: Stored) -> str:
    return staged_path(output.record.run_id, output.record.nonce)


def _is_run_id(name: str) -> bool:
    with contextlib.suppress(UsageError):
        return bool(check_run_id(name))
    return False
