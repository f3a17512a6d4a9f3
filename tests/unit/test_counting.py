"""Counters: what may be counted, and that a tally sums up what attempts counted that settled their items, once."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanout
from fanout.counting import Tally, current
from fanout.models import MAX_COUNTERS, Totals
from fanout.observability.drawing import amount


@dataclass
class Slot:
    """Where attempts run."""

    positions: list[int] = field(default_factory=list)
    counted: int = -1
    abandoned: bool = False


@pytest.fixture
def added() -> Any:
    found: list[tuple[str, float]] = []
    token = current.set(lambda name, value: found.append((name, value)))
    yield found
    current.reset(token)


def test_outside_a_processor_nothing_can_be_counted() -> None:
    with pytest.raises(RuntimeError, match="only inside a processor"):
        fanout.count("usd", 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, -0.01, True, "1", None, 10**400, 1j])
def test_what_is_no_number_from_zero_on_is_refused_with_the_counter_and_the_reason(
    value: Any, added: list[Any]
) -> None:
    with pytest.raises(fanout.CountError, match=r"counter 'usd' adds up .*(finite )?numbers"):
        fanout.count("usd", value)
    assert not added


@pytest.mark.parametrize("name", ["", "1st", "two words", "naïve", "a-b", "x" * 41, None, "a\n"])
def test_names_are_short_identifiers(name: Any, added: list[Any]) -> None:
    with pytest.raises(fanout.CountError, match="cannot name a counter"):
        fanout.count(name, 1)
    assert not added


def test_whole_numbers_and_fractions_count_and_one_is_the_default(added: list[Any]) -> None:
    fanout.count("calls")
    fanout.count("usd", 0.02)
    fanout.count("tokens", 10**6)
    assert added == [("calls", 1.0), ("usd", 0.02), ("tokens", 1e6)]


def test_a_twenty_first_counter_is_refused_and_says_which_there_are() -> None:
    tally = Tally(lambda _: True)
    slot = Slot([0])
    for number in range(MAX_COUNTERS):
        tally.add(slot, f"c{number}", 1)
    with pytest.raises(
        fanout.CountError, match=r"'more' is one too many: .* at most 20 counters, and .* c0, "
    ):
        tally.add(slot, "more", 1)
    tally.add(slot, "c0", 1)
    assert len(tally.collect()) == MAX_COUNTERS


def test_totals_keep_twenty_counters_and_sum_up_the_others() -> None:
    parts = [Totals(counters={f"c{number:02}": 1.0, "all": 0.5}) for number in range(30)]
    total = sum(parts, Totals()).counters
    assert len(total) == MAX_COUNTERS + 1
    assert total["all"] == 15
    assert sum(total.values()) == 45
    assert total["other"] == 30 - (MAX_COUNTERS - 1)


def test_a_million_times_two_cents_are_twenty_thousand() -> None:
    total = Totals()
    for _ in range(50):
        settled: set[int] = set()
        tally, slot = Tally(settled.__contains__), Slot()
        for position in range(20_000):
            slot.positions = [position]
            tally.add(slot, "usd", 0.02)
            settled.add(position)
        total += Totals(counters=tally.collect())
    assert amount(total.counters["usd"]) == "20,000"
    assert total.counters["usd"] == pytest.approx(20_000, abs=1e-9)


def test_amounts_are_written_as_people_read_them() -> None:
    assert [amount(value) for value in (0, 3, 1e6, 0.5, 1234.567, 0.0123, 19999.999999999)] == [
        "0", "3", "1,000,000", "0.50", "1,234.57", "0.012", "20,000",
    ]  # fmt: skip


def test_a_thread_that_nobody_waits_for_counts_nothing_and_between_items_counting_is_an_error() -> None:
    tally = Tally(lambda _: True)
    tally.add(Slot([0], abandoned=True), "usd", 1)
    assert tally.collect() == {}
    with pytest.raises(RuntimeError, match="while its item runs"):
        tally.add(Slot([-1]), "usd", 1)
    with pytest.raises(RuntimeError, match="while its item runs"):
        tally.add(Slot([]), "usd", 1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 5))
def test_whatever_is_tried_again_and_written_meanwhile_each_item_counts_once(
    seed: int, items: int, slots: int
) -> None:
    """Slots take items by turns; attempts fail and are repeated, or settle; sums are collected at any moment."""
    chance = random.Random(seed)
    settled: set[int] = set()
    tally = Tally(settled.__contains__)
    waiting, idle = list(range(items)), [Slot() for _ in range(slots)]
    running: list[Slot] = []
    expected, found = 0.0, 0.0
    spent: dict[int, float] = {}
    while waiting or running:
        dice = chance.random()
        if dice < 0.3 and waiting and idle:
            slot = idle.pop(chance.randrange(len(idle)))
            slot.positions = [waiting.pop(chance.randrange(len(waiting)))]
            spent[slot.positions[0]] = 0.0
            running.append(slot)
        elif dice < 0.7 and running:
            slot = chance.choice(running)
            value = float(chance.randint(1, 1000))
            tally.add(slot, "n", value)
            spent[slot.positions[0]] += value
        elif dice < 0.9 and running:
            slot = running.pop(chance.randrange(len(running)))
            (position,) = slot.positions
            if chance.random() < 0.4:
                tally.take(position)
                waiting.append(position)
            else:
                settled.add(position)
                expected += spent[position]
            slot.positions = [-1]
            idle.append(slot)
        elif chance.random() < 0.3:
            found += tally.collect().get("n", 0.0)
            assert found == expected, "what is collected is that of the items with an outcome"
        assert len(tally._pending) <= 2 * slots
    assert found + tally.collect().get("n", 0.0) == expected
