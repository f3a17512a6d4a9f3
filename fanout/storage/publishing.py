"""Publishing: exact parts and a roll-up when a partition ends, the manifest when the run does."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fanout.errors import ObjectMissing, StoreError
from fanout.models import RunResult, Totals
from fanout.pages import RestRef
from fanout.storage import codec, commits, once, parts, publications, roll_ups, rows, tiling, timeline, values
from fanout.storage.concurrency import each
from fanout.storage.layout import CHECKPOINTS, DATA, KINDS, MANIFEST, ROLL_UPS, data_folder, partition_of
from fanout.storage.records import Commit, Effort, Manifest, Publication, RollUp, RunRecord
from fanout.storage.rests import ranges, resolve
from fanout.storage.rows import Piece
from fanout.storage.selections import Selected
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

_READS = 64
_DELETES = 1000


async def publish(
    store: Store,
    nonce: str,
    partition: int,
    start: int,
    count: int,
    not_run: Sequence[Sequence[int]],
    *,
    rests: Sequence[RestRef] = (),
    keys: Mapping[str, Sequence[int]] | None = None,
    seconds: float = 0.0,
    selected: Selected | None = None,
    fold: values.Fold | None = None,
) -> RollUp:
    """Publish a partition that has ended. May be repeated, and run twice at once.

    Args:
        store: The output.
        nonce: The run's.
        partition: Its number.
        start: Its first item.
        count: How many items it has.
        not_run: Ranges `[start, count]` that have no outcome and never will (a canceled run).
        rests: Further such items, by the commits that handed them back.
        keys: The keys that count, as `commits.load_partition` takes them.
        seconds: How long the partition took.
        selected: Of a rerun, its items: what is said of them here are their positions.
        fold: What values of the run's reducer are merged into; None where it has none.

    Returns:
        The roll-up that stands.

    Raises:
        StoreError: Items are lost or twice, counts do not add up, or rows are gone or damaged.
    """
    roll_up = await roll_ups.find(store, nonce, partition)
    if roll_up is None:
        try:
            left = [list(part) for part in not_run]
            counting = {planner: list(span) for planner, span in (keys or {}).items()}
            wanted = Publication(nonce, partition, start, count, left, list(rests), counting)
            roll_up = await _publish(store, wanted, seconds, selected, fold)
        except ObjectMissing:
            # Another attempt may have published meanwhile, and the run have ended.
            roll_up = await roll_ups.find(store, nonce, partition)
            if roll_up is None:
                raise
    if (roll_up.start, roll_up.count) != (start, count):
        raise StoreError(
            f"partition {partition} in {store.url} was rolled up as {roll_up.count:,} items from {roll_up.start}, "
            f"where {count:,} from {start} were planned"
        )
    return roll_up


async def finalize(
    store: Store, record: RunRecord, result: RunResult, partitions: int, *, complete: bool = True
) -> Manifest:
    """Check the whole run, write its manifest, and delete what has been published. May be repeated.

    Args:
        store: The output.
        record: The run's marker.
        result: What the run did.
        partitions: How many partitions were planned.
        complete: Whether all partitions began; those that did not are part of `result.not_run`.

    Returns:
        The manifest that stands.

    Raises:
        StoreError: Roll-ups are missing, items are lost or twice, or totals do not add up.
    """
    manifest = await load_manifest(store)
    if manifest is None:
        found = await _load_roll_ups(store, record.nonce)
        _check_run(found, result, partitions, complete)
        manifest = Manifest(
            run=record,
            result=result,
            roll_ups=[line.path for line in found],
            written=datetime.now(UTC).isoformat(timespec="seconds"),
            fanout=_version(),
        )
        manifest = _decode(store, await once.settle(store, MANIFEST, codec.encode(manifest)))
    if manifest.run.nonce != record.nonce:
        raise StoreError(
            f"{store.url}/{MANIFEST} belongs to another start of the run: give the run another id or output"
        )
    ended = {partition_of(path) for path in manifest.roll_ups}
    for folder in (DATA, CHECKPOINTS):
        await _delete(store, folder, ended)
    await store.tidy()
    return manifest


async def load_manifest(store: Store) -> Manifest | None:
    """Return the manifest of an output; None while its run has not ended.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return _decode(store, await store.read(MANIFEST))
    except ObjectMissing:
        return None


@dataclass(frozen=True)
class _Ready:
    """A partition that may be published: nothing of it is lost or twice."""

    commits: list[Commit]
    not_run: list[Range]
    results: list[Piece]
    failures: list[Piece]


async def _publish(
    store: Store, wanted: Publication, seconds: float, selected: Selected | None, fold: values.Fold | None
) -> RollUp:
    ready = await _check(store, wanted, selected)
    standing = await publications.settle(store, wanted)
    if standing != wanted:
        ready = await _check(store, standing, selected)
    reduced = None
    if fold is not None:
        reduced = await values.of_partition(store, standing.partition, ready.commits, fold)
    return await roll_ups.create(
        store,
        RollUp(
            nonce=standing.nonce,
            partition=standing.partition,
            start=standing.start,
            count=standing.count,
            not_run=[list(part) for part in tiling.joined(ready.not_run)],
            totals=sum_up(ready.commits),
            results=await parts.write(store, "results", standing.partition, ready.results),
            failures=await parts.write(store, "failures", standing.partition, ready.failures),
            seconds=seconds,
            effort=sum((commit.effort for commit in ready.commits), Effort()),
            timeline=timeline.of_commits(ready.commits),
            reduced=reduced,
        ),
    )


async def _check(store: Store, wanted: Publication, selected: Selected | None) -> _Ready:
    found = await commits.load_partition(store, wanted.nonce, wanted.partition, wanted.keys)
    not_run = [*tiling.ranges(wanted.not_run), *ranges(await resolve(store, wanted.nonce, wanted.rests))]
    settled = [part for commit in found for part in commits.outcomes(commit)]
    what = f"partition {wanted.partition} in {store.url}"
    tiling.check([*settled, *not_run], wanted.start, wanted.count, what)
    results, failures = [await placed(selected, rows.pieces(found, kind)) for kind in KINDS]
    await parts.check_sizes(store, data_folder(wanted.partition), [*results, *failures])
    return _Ready(found, not_run, results, failures)


async def placed(selected: Selected | None, pieces: list[Piece]) -> list[Piece]:
    """Return pieces whose outcomes are indexes of items, as in their rows; commits of a rerun say positions."""
    if selected is None:
        return pieces
    return [replace(piece, outcomes=tuple(await selected.hulls(piece.outcomes))) for piece in pieces]


def sum_up(found: Sequence[Commit]) -> Totals:
    """Return the sums over some commits."""
    return sum((commit.totals for commit in found), Totals())


@dataclass(frozen=True)
class _Line:
    """What the check of a run needs of one roll-up; there may be millions, so nothing else is kept."""

    path: str
    partition: int
    start: int
    count: int
    succeeded: int
    failed: int
    not_run: int


async def _load_roll_ups(store: Store, nonce: str) -> list[_Line]:
    async def read(path: str) -> _Line:
        found = await roll_ups.load(store, nonce, path)
        line = _Line(
            path=path,
            partition=found.partition,
            start=found.start,
            count=found.count,
            succeeded=found.totals.succeeded,
            failed=found.totals.failed,
            not_run=tiling.count(tiling.ranges(found.not_run)),
        )
        if line.succeeded + line.failed + line.not_run != line.count:
            raise StoreError(f"{store.url}/{path} does not add up to its {line.count:,} items")
        return line

    return await each(read, [stored.path for stored in await store.list(ROLL_UPS)], _READS)


def _check_run(found: Sequence[_Line], result: RunResult, partitions: int, complete: bool) -> None:
    what = f"run {result.run_id!r}"
    numbers = [line.partition for line in found]
    if complete:
        missing = sorted(set(range(partitions)) - set(numbers))
        if missing or len(numbers) != partitions:
            raise StoreError(
                f"{what} has {partitions:,} partitions and {len(numbers):,} roll-ups"
                + (f"; the first one missing is that of partition {missing[0]}" if missing else "")
            )
        first = min((line.start for line in found), default=0)
        tiling.check([(line.start, line.count) for line in found], first, result.items, what)
    else:
        tiling.disjoint([(line.start, line.count) for line in found], f"the partitions of {what}")
    settled = (sum(line.succeeded for line in found), sum(line.failed for line in found))
    left = sum(line.not_run for line in found)
    never_begun = result.not_run - left
    adds_up = sum(settled) + result.not_run == result.items
    if (
        settled != (result.succeeded, result.failed)
        or not adds_up
        or never_begun < 0
        or (complete and never_begun)
    ):
        raise StoreError(
            f"the totals of {what} do not add up: of {result.items:,} items it says {result.succeeded:,} succeeded, "
            f"{result.failed:,} failed and {result.not_run:,} not run; its roll-ups say {settled[0]:,}, "
            f"{settled[1]:,} and {left:,}"
        )


async def _delete(store: Store, folder: str, ended: set[int]) -> None:
    paths = [stored.path for stored in await store.list(folder) if partition_of(stored.path) in ended]
    for at in range(0, len(paths), _DELETES):
        await store.delete(*paths[at : at + _DELETES])


def _decode(store: Store, data: bytes) -> Manifest:
    return codec.decode(Manifest, data, f"{store.url}/{MANIFEST}")


def _version() -> str:
    try:
        return importlib.metadata.version("temporal-fanout")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
