"""Arithmetic on ranges of items: nothing lost, nothing twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fanout.errors import StoreError

Range = tuple[int, int]
"""Start and count, as in commits."""

_SHOWN = 3


def ranges(pairs: Iterable[Sequence[int]]) -> list[Range]:
    """Return `[start, count]` pairs, as JSON has them, as ranges.

    Raises:
        StoreError: One is not a pair, or begins or counts below 0.
    """
    found = []
    for pair in pairs:
        if len(pair) != 2 or pair[0] < 0 or pair[1] < 0:
            raise StoreError(f"{list(pair)} is not a range of items [start, count]")
        found.append((pair[0], pair[1]))
    return found


def subtract(start: int, count: int, holes: Iterable[Range], what: str = "the range") -> list[Range]:
    """Return what of a range lies outside some ranges in it, in order.

    Args:
        start: First item.
        count: How many items.
        holes: Ranges within; disjoint.
        what: The range's name, for the error.

    Raises:
        StoreError: A hole lies outside the range, or two overlap.
    """
    rest, at = [], start
    for first, length in sorted(hole for hole in holes if hole[1]):
        if first < at or first + length > start + count:
            raise StoreError(
                f"{what} covers items {_shown((start, start + count))}, and leaves "
                f"{_shown((first, first + length))}, which overlaps or lies outside"
            )
        if first > at:
            rest.append((at, first - at))
        at = first + length
    if start + count > at:
        rest.append((at, start + count - at))
    return rest


def without(parts: Iterable[Range], holes: Iterable[Range], what: str = "the set") -> list[Range]:
    """Return what of some disjoint ranges lies outside of others within them, in order.

    Args:
        parts: The ranges; where they touch they are as one.
        holes: Ranges within; disjoint.
        what: The set's name, for the error.

    Raises:
        StoreError: A hole lies outside the ranges, or two overlap.
    """
    rest: list[Range] = []
    waiting = sorted((hole for hole in holes if hole[1]), reverse=True)
    for first, length in joined(parts):
        inside = []
        while waiting and waiting[-1][0] < first + length:
            inside.append(waiting.pop())
        rest += subtract(first, length, inside, what)
    if waiting:
        first, length = waiting[-1]
        raise StoreError(f"{what} leaves items {_shown((first, first + length))}, which lie outside it")
    return rest


def outside(parts: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """Return what of some ranges lies outside of others, which may lie anywhere, in order."""
    holes = union(others)
    return without(union([*parts, *holes]), holes)


def joined(parts: Iterable[Range]) -> list[Range]:
    """Return disjoint ranges in order, those that touch as one."""
    found: list[Range] = []
    for first, length in sorted(part for part in parts if part[1]):
        if found and sum(found[-1]) == first:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((first, length))
    return found


def union(parts: Iterable[Range]) -> list[Range]:
    """Return the items of ranges that may overlap, as ranges in order."""
    found: list[Range] = []
    for first, length in sorted(part for part in parts if part[1]):
        if found and sum(found[-1]) >= first:
            found[-1] = (found[-1][0], max(sum(found[-1]), first + length) - found[-1][0])
        else:
            found.append((first, length))
    return found


def clip(parts: Iterable[Range], low: int, high: int) -> list[Range]:
    """Return what of some ranges lies from `low` to below `high`."""
    cut = ((max(first, low), min(first + length, high)) for first, length in parts)
    return [(first, end - first) for first, end in cut if end > first]


def count(parts: Iterable[Range]) -> int:
    """Return how many items some disjoint ranges hold."""
    return sum(length for _, length in parts)


def disjoint(parts: Iterable[Range], what: str) -> None:
    """Check that no item is in two ranges.

    Raises:
        StoreError: One is.
    """
    at = 0
    for first, length in sorted(part for part in parts if part[1]):
        if first < at:
            raise StoreError(f"{what} settle items {_shown((first, min(at, first + length)))} twice")
        at = first + length


def check(parts: Iterable[Range], start: int, count: int, what: str) -> None:
    """Check that ranges tile `count` items from `start` exactly.

    Args:
        parts: The ranges, in any order.
        start: First item.
        count: How many items.
        what: What they should tile, for the error: `partition 12`.

    Raises:
        StoreError: Items are lost, twice, or outside; the text names the first of each.
    """
    end = start + count
    lost: list[Range] = []
    twice: list[Range] = []
    outside: list[Range] = []
    at = start
    for first, length in sorted(part for part in parts if part[1]):
        last = first + length
        if first < start:
            outside.append((first, min(last, start)))
        if last > end:
            outside.append((max(first, end), last))
        low, high = max(first, start), min(last, end)
        if low >= high:
            continue
        if low > at:
            lost.append((at, low))
        elif low < at:
            twice.append((low, min(at, high)))
        at = max(at, high)
    if at < end:
        lost.append((at, end))
    if lost or twice or outside:
        found = [
            f"{name}: items {_listed(places)}"
            for name, places in (("lost", lost), ("twice", twice), ("outside", outside))
            if places
        ]
        raise StoreError(
            f"the outcomes of {what} do not tile its {count:,} items {_shown((start, end))}; {'; '.join(found)}"
        )


def _listed(places: Sequence[Range]) -> str:
    more = f" and {len(places) - _SHOWN:,} more ranges" if len(places) > _SHOWN else ""
    return ", ".join(_shown(place) for place in places[:_SHOWN]) + more


def _shown(place: Range) -> str:
    low, high = place
    return str(low) if high - low == 1 else f"{low}-{high - 1}" if high > low else "none"
