"""Conditions that end a run early: as people write them, and when they have come about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import UsageError
from fanout.interim import is_news
from fanout.messages import Interim, Standing
from fanout.models import MATCHES, Totals
from fanout.pages import Source
from fanout.stopping import (
    CounterAbove,
    FirstSuccess,
    check_condition,
    has_come,
    parse_condition,
    reason,
    steps,
    wanted,
)
from fanout.storage.codec import decode, encode
from fanout.storage.records import RunRecord


@pytest.mark.parametrize(("text", "value"), [("usd > 200", 200.0), ("usd>0", 0.0), (" usd >1e3 ", 1000.0)])
def test_a_condition_is_a_counter_and_a_number(text: str, value: float) -> None:
    assert parse_condition(text) == CounterAbove("usd", value)


@pytest.mark.parametrize(
    "text", ["", "usd", "usd >", "> 3", "usd < 3", "usd > many", "usd > -1", "usd > nan"]
)
def test_any_other_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "count"), [("first-success", 1), (" first-success=3 ", 3), ("first-success = 20", 20)]
)
def test_a_condition_is_a_number_of_matches(text: str, count: int) -> None:
    assert parse_condition(text) == FirstSuccess(count)
    assert parse_condition(str(FirstSuccess(count))) == FirstSuccess(count)


@pytest.mark.parametrize("text", ["first-success=0", "first-success=-1", "first-success=x", "first-succes"])
def test_a_search_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


@pytest.mark.parametrize("given", [FirstSuccess(0), FirstSuccess(True), FirstSuccess(-1), "first-success", 3])
def test_what_is_no_condition_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="^stop_when"):
        check_condition(given)


@given(matched=st.integers(0, 5), count=st.integers(1, 5), usd=st.floats(0, 100), most=st.floats(0, 100))
def test_a_condition_has_come_about_at_its_number_of_matches_or_above_its_value(
    matched: int, count: int, usd: float, most: float
) -> None:
    totals = Totals(matched=matched, counters={"usd": usd, "matches": 99})
    assert has_come(FirstSuccess(count), totals.counted) == (matched >= count)
    assert has_come(CounterAbove("usd", most), totals.counted) == (usd > most)


def test_a_node_speaks_of_the_first_match_and_of_what_its_counter_is_watched_for() -> None:
    assert steps(FirstSuccess()).keys() == {MATCHES}
    assert 0 < steps(FirstSuccess())[MATCHES] <= 1
    assert steps(CounterAbove("usd", 0)).keys() == {"usd"}
    assert steps(None) == {}
    assert wanted(FirstSuccess(3)) == 3 < wanted(None) == wanted(CounterAbove("usd", 1))


def test_the_reason_says_what_was_found() -> None:
    assert reason(FirstSuccess(), Totals(matched=1)) == "1 match found; it was to stop at the first"
    assert reason(FirstSuccess(3), Totals(matched=4)) == "4 matches found; it was to stop at 3"


@pytest.mark.parametrize("enough", [None, FirstSuccess(4), FirstSuccess(), CounterAbove("usd", 2.5)])
def test_a_condition_in_the_marker_of_an_output_is_read_as_what_it_was(enough: Any) -> None:
    record = RunRecord("n", "id", "e", "p", "1", Source("range"), stop_when=enough)
    assert decode(RunRecord, encode(record), "_RUN") == record


@dataclass
class Node:
    """A node that goes by some standing orders, and has counted something."""

    standing: Standing
    interim: Interim
    told: Interim | None = None


@pytest.mark.parametrize(
    ("enough", "told", "now"),
    [
        (FirstSuccess(5_000), {MATCHES: 4_999}, {MATCHES: 5_000}),
        (CounterAbove("usd", 200), {"usd": 199.95}, {"usd": 200.05}),
    ],
)
def test_a_node_that_waits_because_it_has_enough_says_so(
    enough: Any, told: dict[str, float], now: dict[str, float]
) -> None:
    """Also where its counter has risen by less than what it usually speaks of."""
    standing = Standing(1, 1, tell_counters=steps(enough), enough=enough)
    assert is_news(Interim("n", 0, told), Node(standing, Interim("n", 0, now)))
    assert not is_news(Interim("n", 0, now), Node(standing, Interim("n", 0, now)))
