"""Items that were handed back: which they are, by the commits that list them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanout.errors import StoreError
from fanout.models import RestRef
from fanout.storage import commits
from fanout.storage.concurrency import each
from fanout.storage.records import Rest
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

_READS = 32


@dataclass(frozen=True, order=True)
class Items:
    """Consecutive items with one past.

    Attributes:
        start: First item.
        count: How many.
        attempts: How often each has failed.
        due: When they may run again, in seconds since the epoch; 0 for at once.
    """

    start: int
    count: int
    attempts: int = 0
    due: float = 0.0


async def resolve(store: Store, nonce: str, refs: Sequence[RestRef]) -> list[Items]:
    """Return the items that some references name, in index order.

    Args:
        store: The output.
        nonce: The run's.
        refs: References to what commits have handed back.

    Raises:
        StoreError: A commit is missing, or does not hold what is said of it.
    """
    keys = list(dict.fromkeys(ref.key for ref in refs))
    found = dict(zip(keys, await each(lambda key: _load(store, nonce, key), keys, _READS), strict=True))
    return sorted(items for ref in refs for items in _slice(found[ref.key], ref))


def ranges(items: Iterable[Items]) -> list[Range]:
    """Return items as ranges."""
    return [(one.start, one.count) for one in items]


async def _load(store: Store, nonce: str, key: str) -> list[Rest]:
    commit = await commits.find(store, nonce, key)
    if commit is None:
        raise StoreError(f"commit {key} has handed items back, and does not exist in {store.url}")
    return commit.rests


def _slice(rests: Sequence[Rest], ref: RestRef) -> list[Items]:
    """Return the items of one reference: so many from an offset on, counted in index order."""
    if ref.number >= len(rests):
        raise StoreError(f"commit {ref.key} hands back {len(rests)} sets of items, not a {ref.number + 1}th")
    rest = rests[ref.number]
    taken: list[Items] = []
    skip, want = ref.offset, ref.count
    for start, count, attempts in rest.runs:
        low = min(skip, count)
        skip -= low
        size = min(count - low, want)
        if size:
            taken.append(Items(start + low, size, attempts, rest.due))
            want -= size
    if want:
        raise StoreError(
            f"commit {ref.key} hands back fewer items in set {ref.number} than the {ref.offset + ref.count:,} known"
        )
    return taken
