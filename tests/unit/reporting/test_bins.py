"""Binning: what a figure shows adds up to what was done, and is no larger for a larger run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.reporting.bins import bars, in_time, rows
from fanout.storage.records import Slice
from tests.unit.reporting.facts import BEGAN, partition

SLICES = st.builds(
    lambda begin, length, good, bad: Slice(begin, begin + length, good, bad, good * 0.5, bad * 2.0),
    st.floats(-50, 1100),
    st.floats(0, 300),
    st.integers(0, 1000),
    st.integers(0, 5),
)


@given(st.lists(SLICES, max_size=50), st.floats(0, 1000), st.integers(1, 130))
def test_whatever_was_done_is_in_some_bin_and_only_once(
    slices: list[Slice], until: float, count: int
) -> None:
    bins = in_time(slices, 0, until, count)
    assert len(bins.edges) == count + 1
    for name in ("succeeded", "failed", "busy", "offered"):
        column = getattr(bins, name)
        assert len(column) == count
        assert min(column) >= 0
        assert sum(column) == pytest.approx(sum(getattr(one, name) for one in slices))


def test_a_slice_is_spread_evenly_over_its_time() -> None:
    bins = in_time([Slice(15, 35, succeeded=40)], 10, 50, 4)
    assert bins.edges == [0, 10, 20, 30, 40]
    assert bins.succeeded == [10, 20, 10, 0]
    assert bins.per_second(bins.succeeded) == [1, 2, 1, 0]


@given(st.integers(0, 60), st.integers(1, 20))
def test_a_timeline_has_a_bounded_number_of_lines_and_each_partition_in_one(count: int, most: int) -> None:
    made = rows([partition(n, n, 5) for n in range(count)], BEGAN, BEGAN + count + 5, most)
    assert len(made) <= most
    assert [number for row in made for number in range(row.first, row.last + 1)] == list(range(count))


def test_neighbours_in_one_line_are_drawn_where_any_of_them_worked() -> None:
    several = [partition(n, begin, 10, failed=10 * n) for n, begin in enumerate((0, 5, 40))]
    [row] = rows(several, BEGAN, BEGAN + 60, most=1)
    assert row.stretches == [(0, 15), (40, 50)]
    assert row.failed == pytest.approx(30 / 300)
    assert not row.live


def test_a_partition_that_goes_on_reaches_to_the_end() -> None:
    [row] = rows([partition(0, 3, 2, ended=False)], BEGAN, BEGAN + 60)
    assert row.stretches == [(3, 60)]
    assert row.live


def test_bars_are_the_classes_between_the_first_and_the_last_with_gaps() -> None:
    made = bars([[0, 2], [3, 1]])
    assert [(bar.above, bar.bound, bar.attempts) for bar in made] == [
        (0, 1e-6, 2), (1e-6, 2e-6, 0), (2e-6, 5e-6, 0), (5e-6, 1e-5, 1),
    ]  # fmt: skip
    assert bars([]) == []
