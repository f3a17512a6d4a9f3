"""What may fail: how it is said, and when it is passed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import tolerance
from fanout.errors import UsageError
from fanout.options import check
from fanout.tolerance import SAMPLE, Tolerance

counts = st.integers(min_value=0, max_value=100_000)


@pytest.mark.parametrize(
    ("said", "allowed"),
    [(0, 0), (100, 100), ("7", 7), ("0%", 0), ("2.5%", 250), (" 50 % ", 5_000), ("100%", 10_000)],
)
def test_a_number_or_a_percentage_may_fail(said: str | int, allowed: int) -> None:
    found = tolerance.parse(said)
    assert found.allowed(10_000) == allowed
    assert tolerance.parse(str(found)) == found


@pytest.mark.parametrize("said", ["", "some", "-1", "101%", "1.5", "1e3", True, "5%%", "½"])
def test_anything_else_is_refused_with_what_may_be_said(said: Any) -> None:
    with pytest.raises(
        UsageError, match="option tolerated_failures: say .*a percentage, such as '2.5%', got"
    ):
        check({"tolerated_failures": said})


def test_options_hold_it_as_text() -> None:
    assert check({"tolerated_failures": 100}) == {"tolerated_failures": "100"}
    assert check({"tolerated_failures": "1.50 %"}) == {"tolerated_failures": "1.5%"}


def test_nothing_said_is_half_of_a_thousand_or_more() -> None:
    default = tolerance.of(None, None)
    assert not default.is_exceeded(999, 999, 999)
    assert not default.is_exceeded(500, 1_000, 1_000)
    assert default.is_exceeded(501, 501, 1_000)
    assert default.is_exceeded(1_000, 1_000, None)
    assert not default.is_exceeded(999, 999, None)


def test_a_percentage_that_was_said_holds_for_small_runs_too() -> None:
    said = tolerance.of("10%", None)
    assert not said.is_exceeded(1, 1, 10)
    assert said.is_exceeded(2, 2, 10)
    assert not tolerance.of("10%", 500).is_exceeded(2, 10, 10)


@given(tolerated=counts, failed=counts)
def test_a_number_is_exceeded_by_one_more_whatever_else_is_known(tolerated: int, failed: int) -> None:
    one = Tolerance(count=tolerated)
    for total in (None, failed, 10 * failed + 1):
        assert one.is_exceeded(failed, failed, total) == (failed > tolerated)


@given(percent=st.integers(0, 100), failed=counts, more=counts, total=st.none() | counts)
def test_more_that_succeed_never_make_it_worse(
    percent: int, failed: int, more: int, total: int | None
) -> None:
    one = tolerance.parse(f"{percent}%")
    if total is not None:
        total = max(total, failed + more)
    if not one.is_exceeded(failed, failed, total) and failed >= SAMPLE:
        assert not one.is_exceeded(failed, failed + more, total)
    if one.is_exceeded(failed, failed + more, total):
        assert one.may_be_exceeded(failed, total)


def test_a_rate_just_below_what_is_tolerated_never_stops_a_run_on_its_way() -> None:
    one, dice = tolerance.parse("1%"), random.Random(7)
    for _ in range(20):
        failed = 0
        for settled in range(1, 50_001):
            failed += dice.random() < 0.009
            if settled % 50 == 0:
                assert not one.is_exceeded(failed, settled, None)


@pytest.mark.parametrize(("rate", "soon"), [(1.0, 1_000), (0.05, 2_000), (0.02, 8_000)])
def test_the_further_a_rate_is_above_it_the_sooner_it_stops(rate: float, soon: int) -> None:
    one, dice = tolerance.parse("1%"), random.Random(7)
    failed = 0
    for settled in range(1, soon + 1):
        failed += dice.random() < rate
        if one.is_exceeded(failed, settled, None):
            break
    assert one.is_exceeded(failed, settled, None)


@given(total=st.integers(0, 10**9), percent=st.integers(0, 99))
def test_a_run_hears_of_failures_about_a_thousand_times_before_it_has_too_many(
    total: int, percent: int
) -> None:
    one = tolerance.parse(f"{percent}%")
    step = one.step(total, exact=True)
    assert one.allowed(total) <= tolerance.TELLINGS * step
    assert step == 1 or (step - 1) * tolerance.TELLINGS < one.allowed(total)


def test_a_run_that_cannot_have_too_many_failures_hears_of_none() -> None:
    default = tolerance.of(None, None)
    assert tolerance.parse("100%").step(10**6, exact=True) == 0
    assert default.step(999, exact=True) == 0
    assert default.step(999, exact=False) == 1
    assert default.step(1_000, exact=True) == 1
