"""Items that were handed back: which they are, by the commits that list them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanout.errors import StoreError
from fanout.pages import RestRef
from fanout.storage import commits, tiling
from fanout.storage.concurrency import each
from fanout.storage.records import Rest
from fanout.storage.stores import Store
from fanout.storage.tiling import Range

MAX_RANGES = 4
"""Ranges that may run at once, of one commit: more of them are a set of their own."""

TOGETHER_SECONDS = 1.0
TOGETHER_SHARE = 0.25
"""Items whose retries are due within a second, or a quarter of the time until then, wait for the last of them."""

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


def divide(items: Iterable[Items], now: float) -> tuple[list[list[int]], list[Rest]]:
    """Divide items that remain into what a commit's `more` and `rests` hold.

    Args:
        items: The items, in index order.
        now: Seconds since the epoch.

    Returns:
        A few ranges that may run at once, and sets of the others: those that are due at about the same time together.
    """
    fresh: list[Items] = []
    past: list[Items] = []
    for one in items:
        (past if one.attempts or one.due > now else fresh).append(one)
    more = [list(part) for part in tiling.joined(ranges(fresh))]
    rests = _by_time(past, now)
    if len(more) > MAX_RANGES:
        rests = [Rest([[*part, 0] for part in more]), *rests]
        more = []
    return more, rests


def _by_time(items: Sequence[Items], now: float) -> list[Rest]:
    groups: list[list[Items]] = []
    until = -1.0
    for one in sorted(items, key=lambda one: one.due):
        if one.due > until:
            groups.append([])
            until = max(one.due, now) + max(TOGETHER_SECONDS, TOGETHER_SHARE * (one.due - now))
        groups[-1].append(one)
    rests = []
    for group in groups:
        due = group[-1].due
        runs = [[one.start, one.count, one.attempts] for one in sorted(group)]
        rests.append(Rest(runs, due if due > now else 0.0))
    return rests


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
