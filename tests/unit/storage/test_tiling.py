from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import StoreError
from fanout.storage import tiling

SMALL = st.integers(0, 12)
RANGES = st.lists(st.tuples(SMALL, st.integers(0, 6)), max_size=6)


def items(parts: list[tuple[int, int]]) -> Counter[int]:
    return Counter(index for first, length in parts for index in range(first, first + length))


@st.composite
def tilings(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int]]]:
    start, count = draw(SMALL), draw(SMALL)
    cuts = sorted(draw(st.lists(st.integers(start, start + count), max_size=6)))
    edges = [start, *cuts, start + count]
    parts = [(low, high - low) for low, high in itertools.pairwise(edges)]
    return start, count, draw(st.permutations(parts))


@given(RANGES, SMALL, SMALL)
def test_check_agrees_with_sets_of_items(parts: list[tuple[int, int]], start: int, count: int) -> None:
    exact = items(parts) == Counter(range(start, start + count))
    try:
        tiling.check(parts, start, count, "it")
    except StoreError:
        assert not exact
    else:
        assert exact


@given(tilings())
def test_every_tiling_passes(given_tiling: tuple[int, int, list[tuple[int, int]]]) -> None:
    start, count, parts = given_tiling
    tiling.check(parts, start, count, "it")
    tiling.disjoint(parts, "it")


@given(tilings(), st.data())
def test_a_tiling_that_lost_or_doubled_a_part_fails(
    given_tiling: tuple[int, int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    start, count, parts = given_tiling
    place = data.draw(st.integers(0, len(parts) - 1))
    if not parts[place][1]:
        return
    with pytest.raises(StoreError, match="lost"):
        tiling.check(parts[:place] + parts[place + 1 :], start, count, "it")
    with pytest.raises(StoreError, match="twice"):
        tiling.check([*parts, parts[place]], start, count, "it")
    with pytest.raises(StoreError, match="twice"):
        tiling.disjoint([*parts, parts[place]], "it")


@given(RANGES, SMALL, SMALL)
def test_subtract_agrees_with_sets_of_items(holes: list[tuple[int, int]], start: int, count: int) -> None:
    whole, gone = Counter(range(start, start + count)), items(holes)
    possible = gone <= whole
    try:
        rest = tiling.subtract(start, count, holes)
    except StoreError:
        assert not possible
    else:
        assert possible
        assert items(rest) == whole - gone
        assert rest == sorted(rest)
        assert tiling.count(rest) == count - gone.total()


@given(tilings(), RANGES, st.data())
def test_without_agrees_with_sets_of_items(
    given_tiling: tuple[int, int, list[tuple[int, int]]], holes: list[tuple[int, int]], data: st.DataObject
) -> None:
    # Some parts of a tiling are any set of items.
    parts = [part for part in given_tiling[2] if data.draw(st.booleans())]
    possible = items(holes) <= items(parts)
    try:
        rest = tiling.without(parts, holes, "it")
    except StoreError:
        assert not possible
    else:
        assert possible
        assert items(rest) == items(parts) - items(holes)
        assert rest == sorted(rest)


@given(tilings(), st.data())
def test_every_part_of_a_set_may_be_taken_out(
    given_tiling: tuple[int, int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    parts = given_tiling[2]
    holes = []
    for first, length in parts:
        low = data.draw(st.integers(first, first + length))
        holes.append((low, data.draw(st.integers(low, first + length)) - low))
    assert items(tiling.without(parts, holes)) == items(parts) - items(holes)


@given(tilings(), st.data())
def test_joined_ranges_hold_the_same_items_in_the_fewest_ranges(
    given_tiling: tuple[int, int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    parts = [part for part in given_tiling[2] if data.draw(st.booleans())]
    found = tiling.joined(parts)
    assert items(found) == items(parts)
    assert all(sum(before) < after[0] for before, after in itertools.pairwise(found))
    assert tiling.joined(found) == found


@given(RANGES, SMALL, SMALL)
def test_clip_agrees_with_sets_of_items(parts: list[tuple[int, int]], low: int, high: int) -> None:
    expected = Counter({index: n for index, n in items(parts).items() if low <= index < high})
    assert items(tiling.clip(parts, low, high)) == expected


def test_the_error_names_the_first_ranges_of_each_sort() -> None:
    with pytest.raises(StoreError) as caught:
        tiling.check([(-2, 4), (5, 1), (5, 2), (8, 1), (10, 1), (12, 20)], 0, 20, "partition 7")
    assert str(caught.value) == (
        "the outcomes of partition 7 do not tile its 20 items 0-19; "
        "lost: items 2-4, 7, 9 and 1 more ranges; twice: items 5; outside: items -2--1, 20-31"
    )


def test_ranges_from_a_foreign_hand_are_checked() -> None:
    assert tiling.ranges([[1, 2], [5, 0]]) == [(1, 2), (5, 0)]
    for bad in ([1], [1, 2, 3], [-1, 2], [1, -2]):
        with pytest.raises(StoreError, match="not a range"):
            tiling.ranges([bad])


@given(st.sets(SMALL), st.sets(SMALL))
def test_what_lies_outside_of_others_is_found_wherever_they_lie(parts: set[int], others: set[int]) -> None:
    rest = tiling.outside([(index, 1) for index in parts], [(index, 1) for index in others])
    assert [index for first, count in rest for index in range(first, first + count)] == sorted(parts - others)
