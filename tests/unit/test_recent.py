from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import recent
from fanout.recent import KEPT, STEP, WINDOW, Recent

NOW = 1_700_000_000.0
settled = st.lists(st.tuples(st.floats(NOW - 200, NOW), st.integers(0, 1000)), max_size=50)


def counted(events: list[tuple[float, int]]) -> Recent:
    counts: Recent = []
    for moment, count in sorted(events):
        counts = recent.add(counts, moment, count)
    return counts


@given(settled)
def test_the_rate_is_that_of_what_was_settled_within_the_last_minute(events: list[tuple[float, int]]) -> None:
    rate, seconds = recent.rate(counted(events), NOW, NOW - 1000)
    assert WINDOW - STEP <= seconds <= WINDOW
    assert rate * seconds == pytest.approx(
        sum(count for moment, count in events if moment >= NOW - seconds), abs=1e-6
    )


@given(settled, settled)
def test_counts_of_two_nodes_add_up_in_either_order(
    some: list[tuple[float, int]], others: list[tuple[float, int]]
) -> None:
    merged = recent.merge(counted(some), counted(others))
    assert merged == recent.merge(counted(others), counted(some))
    assert recent.rate(merged, NOW, 0)[0] == pytest.approx(recent.rate(counted(some + others), NOW, 0)[0])


@given(st.lists(st.tuples(st.floats(0, 1e10), st.integers(0, 1000)), max_size=50))
def test_counts_take_little_room_however_much_is_settled(events: list[tuple[float, int]]) -> None:
    assert len(counted(events)) <= KEPT + 1


def test_a_young_run_has_the_rate_of_its_own_time() -> None:
    rate, seconds = recent.rate(counted([(NOW - 8, 100), (NOW - 1, 100)]), NOW, NOW - 10)
    assert (rate, seconds) == (20, 10)
    assert recent.rate(counted([(NOW, 5)]), NOW, NOW - 0.001) == (5, recent.SHORTEST)


def test_nothing_settled_is_no_rate() -> None:
    assert recent.rate([], NOW, NOW - 100)[0] == 0
    assert recent.rate(counted([(NOW - 70, 1000)]), NOW, NOW - 100)[0] == 0


def test_a_clock_that_goes_after_the_servers_does_not_lose_what_was_settled() -> None:
    rate, _ = recent.rate(counted([(NOW + 300, 100)]), NOW, NOW - 1000)
    assert rate == pytest.approx(100 / WINDOW, rel=0.1)


def test_what_lies_an_hour_back_is_forgotten() -> None:
    later = counted([(NOW - 3_600, 7), (NOW, 3)])
    assert sum(later[1:]) == 3
    assert len(later) <= KEPT + 1
