"""Makes outputs as batches make them, and looks at them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence

from fanout.models import RunResult, Status
from fanout.pages import RestRef, Source
from fanout.storage import commits, markers, publishing, reading, tiling
from fanout.storage.layout import KINDS, Kind, batch_key, data_path, part_path
from fanout.storage.records import Commit, DataObject, Manifest, Rest, RollUp, RunRecord
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

NONCE = "n0nce"

WEIGHT = "weight"
"""A counter whose sum says which items it is of."""


def weight(index: int) -> float:
    """Return what an item counts."""
    return 2.0**index


def record(nonce: str = NONCE, **changes: object) -> RunRecord:
    """Return a run's marker."""
    fields: dict[str, object] = {
        "nonce": nonce,
        "run_id": "urls",
        "execution": "0198-exec",
        "processor": "fetch",
        "version": "1",
        "source": Source("range", {"stop": 100}),
    }
    return RunRecord(**{**fields, **changes})  # type: ignore[arg-type]


def result_row(index: int, size: int = 0) -> bytes:
    """Return the row of an item that succeeded."""
    return b'{"index":%d,"key":"k%d","output":"%s"}\n' % (index, index, b"x" * size)


def failure_row(index: int) -> bytes:
    """Return the row of an item that failed."""
    return b'{"index":%d,"key":"k%d","source":"a:%d","input":1,"error_type":"ValueError"}\n' % (
        index,
        index,
        index,
    )


async def batch(
    store: Store,
    partition: int,
    sequence: int,
    start: int,
    count: int,
    *,
    items: Sequence[Range] = (),
    more: Sequence[Range] = (),
    rests: Sequence[Rest] = (),
    failed: Collection[int] = (),
    size: int = 0,
    objects: int = 1,
    nonce: str = NONCE,
    planner: str = "",
    written: float = 0.0,
) -> Commit:
    """Run a batch: write its rows, and commit them.

    Args:
        store: The output.
        partition: Its partition.
        sequence: Its number there.
        start: Its first item.
        count: How many items.
        items: The items, where they are no range.
        more: What it hands back.
        rests: What it hands back in sets.
        failed: Items that fail.
        size: Of each output.
        objects: How many data objects it writes of each kind, as one with checkpoints does: its rows by turns.
        nonce: The run's.
        planner: Who planned it.
        written: When, in seconds since the epoch.
    """
    key, token = batch_key(partition, sequence, planner), uuid.uuid4().hex
    left = [*more, *((run[0], run[1]) for rest in rests for run in rest.runs)]
    settled = tiling.without(items or [(start, count)], left)
    indexes = [i for first, length in settled for i in range(first, first + length)]
    good = [result_row(i, size) for i in indexes if i not in failed]
    bad = [failure_row(i) for i in indexes if i in failed]
    commit = Commit(
        nonce=nonce,
        key=key,
        written=written,
        token=token,
        start=items[0][0] if items else start,
        count=tiling.count(items) if items else count,
        items=[list(part) for part in items],
        more=[list(part) for part in more],
        rests=list(rests),
        results=await write_rows(store, "results", key, token, good, objects),
        failures=await write_rows(store, "failures", key, token, bad, objects),
        succeeded=len(good),
        failed=len(bad),
        error_types={"ValueError": len(bad)} if bad else {},
    )
    standing, won = await commits.create(store, commit)
    assert won
    return standing


async def write_rows(
    store: Store, kind: Kind, key: str, token: str, lines: list[bytes], objects: int = 1
) -> list[DataObject]:
    """Write rows to so many data objects, each in index order."""
    written = []
    for number in range(objects):
        taken = lines[number::objects]
        if taken:
            path = data_path(kind, key, token, number)
            await store.create(path, taken)
            written.append(DataObject(path, len(taken), sum(map(len, taken)), indexes(taken)[0]))
    return written


def ref(commit: Commit, number: int = 0) -> RestRef:
    """Return the reference to a whole set that a commit hands back."""
    runs = commit.rests[number].runs
    count = sum(run[1] for run in runs)
    return RestRef(commit.key, number, count, runs[0][0], sum(runs[-1][:2]), due=commit.rests[number].due)


async def small_run(store: Store) -> None:
    """Run 40 items in two partitions; batches that hand items back among them, and seven failures."""
    await markers.claim(store, record())
    await batch(store, 0, 0, 0, 10, failed=[3], more=[(4, 2), (8, 1)])
    await batch(store, 0, 1, 10, 10)
    await batch(store, 0, 2, 4, 2, failed=[5])
    await batch(store, 0, 3, 8, 1)
    await batch(store, 1, 0, 20, 20, failed=range(20, 25))


SMALL_FAILED = [3, 5, 20, 21, 22, 23, 24]
SMALL_SUCCEEDED = [i for i in range(40) if i not in SMALL_FAILED]


async def publish_small_run(store: Store) -> list[RollUp]:
    """Publish both partitions of the small run."""
    return [
        await publishing.publish(store, NONCE, 0, 0, 20, []),
        await publishing.publish(store, NONCE, 1, 20, 20, []),
    ]


async def finalize_small_run(store: Store) -> Manifest:
    """Write the manifest of the small run."""
    return await publishing.finalize(store, record(), run_result(40, 33, 7), 2)


def run_result(items: int, succeeded: int, failed: int, not_run: int = 0) -> RunResult:
    """Return what a run did."""
    return RunResult("urls", Status.SUCCEEDED, items, succeeded, failed, not_run)


async def published(store: Store, kind: Kind) -> list[int]:
    """Return the indexes that a plain glob over the published folder finds, in the order of names."""
    found = []
    for stored in await store.list(kind):
        found += indexes((await store.read(stored.path)).splitlines())
    return found


def indexes(lines: Sequence[bytes]) -> list[int]:
    """Return the indexes of rows."""
    return [json.loads(line)["index"] for line in lines]


EXPECTED: dict[Kind, list[int]] = {"results": SMALL_SUCCEEDED, "failures": SMALL_FAILED}


async def read(store: Store, kind: Kind, *, ordered: bool = True) -> list[int]:
    return indexes([row async for row in reading.rows(store, kind, ordered=ordered)])


def check_part_names(found: RollUp) -> None:
    # A piece that was streamed may leave out numbers: how many parts it becomes is known once it is read.
    for kind in KINDS:
        paths = [part.path for part in getattr(found, kind)]
        possible = [part_path(kind, found.partition, number) for number in range(1000)]
        assert [path for path in possible if path in paths] == paths


async def check_parts(store: Store, found: RollUp) -> None:
    """Check that parts say exactly what they hold, and follow each other."""
    check_part_names(found)
    for kind in KINDS:
        at = found.start
        for part in getattr(found, kind):
            data = await store.read(part.path)
            held = indexes(data.splitlines())
            assert held == sorted(set(held))
            assert (len(held), len(data)) == (part.rows, part.size)
            assert at <= part.start <= held[0]
            assert held[-1] < part.end <= found.start + found.count
            at = part.end
