"""Durations in classes: every attempt is counted once, singly where it is slow, and quantiles are bounds of classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.durations import BOUNDS, SLOW, Durations, merged, quantile

SECONDS = st.floats(0, 1e6, allow_nan=False)


def test_bounds_are_those_that_people_read() -> None:
    assert list(BOUNDS[:4]) == [1e-6, 2e-6, 5e-6, 1e-5]
    assert BOUNDS[-1] == 50_000
    assert list(BOUNDS) == sorted(BOUNDS)


@given(st.lists(st.tuples(SECONDS, st.integers(1, 64)), max_size=30))
def test_every_attempt_is_counted_and_its_time_too(some: list[tuple[float, int]]) -> None:
    took = Durations()
    for seconds, attempts in some:
        took.add_some(seconds, attempts)
    assert sum(count for _, count in took.classes) == sum(attempts for _, attempts in some)
    assert took.busy == pytest.approx(sum(seconds for seconds, _ in some))


@given(st.lists(SECONDS, min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_the_bound_of_the_class_in_which_it_lies(seconds: list[float], share: float) -> None:
    took = Durations()
    for one in seconds:
        took.add(one)
    # As many as make up the share, but for what floating point leaves over.
    ranked = sorted(min(one, BOUNDS[-1]) for one in seconds)
    needed = next(n for n in range(1, len(ranked) + 1) if n >= share * len(ranked) * (1 - 1e-9))
    expected = next(bound for bound in BOUNDS if ranked[needed - 1] <= bound)
    assert quantile(took.classes, share) == expected


def test_one_slow_attempt_among_quick_ones_is_told_from_them() -> None:
    took = Durations()
    assert not took.add_some(2e-6, 1)
    assert took.add_some(64 * 2e-6 + 0.3, 64), "the next one is timed by itself"
    assert quantile(took.classes, 0.98) == 2e-6
    assert quantile(took.classes, 1) == 0.5
    assert not took.add_some(SLOW / 2, 1)


def test_classes_add_up() -> None:
    assert merged([[[1, 2], [3, 4]], [], [[0, 1], [3, 1]]]) == [[0, 1], [1, 2], [3, 5]]
    assert quantile([], 0.5) is None
    assert quantile([[len(BOUNDS), 1]], 0.5) == BOUNDS[-1]
