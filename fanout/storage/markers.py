"""The `_RUN` marker: whose output a folder is, and all that the run's batches share."""

from __future__ import annotations

from fanout.errors import ObjectMissing, OutputUnseen, StoreError
from fanout.storage import codec, once
from fanout.storage.layout import RUN
from fanout.storage.records import RunRecord
from fanout.storage.stores import Store

_KEPT = 1024

# A marker never changes, so a process reads it once; of an output that is gone, nobody asks again.
_known: dict[str, RunRecord] = {}


async def claim(store: Store, record: RunRecord) -> RunRecord:
    """Make an output that of a run, or find that it is so already.

    Args:
        store: The output.
        record: What the marker is to hold.

    Returns:
        The marker as it stands.

    Raises:
        StoreError: The output is another run's.
    """
    found = _decode(store, await once.settle(store, RUN, codec.encode(record)))
    _check(store, found, record.nonce)
    return found


async def load_run(store: Store, nonce: str | None) -> RunRecord:
    """Return the marker of an output.

    Args:
        store: The output.
        nonce: The run's nonce; None to take the output as it is, as a client does.

    Raises:
        OutputUnseen: There is none that this process can see.
        StoreError: The output is another run's.
    """
    record = _known.get(store.url)
    if record is None:
        try:
            record = _decode(store, await store.read(RUN))
        except ObjectMissing:
            raise OutputUnseen(_missing(store.url)) from None
        if len(_known) >= _KEPT:
            _known.clear()
        _known[store.url] = record
    _check(store, record, nonce)
    return record


def forget(store: Store) -> None:
    """Take note that the marker of an output was deleted."""
    _known.pop(store.url, None)


def _decode(store: Store, data: bytes) -> RunRecord:
    return codec.decode(RunRecord, data, f"{store.url}/{RUN}")


def _check(store: Store, record: RunRecord, nonce: str | None) -> None:
    if nonce is not None and record.nonce != nonce:
        raise StoreError(
            f"{store.url} is the output of another start of run {record.run_id!r} (execution {record.execution}): "
            "give the run another id or output"
        )


def _missing(url: str) -> str:
    text = f"this process cannot see the run's output: there is no {url}/{RUN}; "
    if url.startswith("file://"):
        return text + (
            "a local folder is not shared between hosts: run all workers where it is, mount it on every host, "
            "or use an object store (FANOUT_STORE=s3://bucket/prefix)"
        )
    return text + (
        "check that it was not deleted, and that the endpoint and credentials here are those of its workers"
    )
