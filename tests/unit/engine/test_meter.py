"""The rate limit as arithmetic: never above the rate and its burst, whoever begins, waits, leaves and hands on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fanout.children.meter import BURST_SECONDS, Meter

TINY = 1e-3


class Sharing(RuleBasedStateMachine):
    """Several processes share one rate: batches begin, end, and leave their part of it to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.whole, self.free = 400.0, 400.0
        self.least = 2
        self.meters = [Meter(self.now, least=self.least) for _ in range(3)]
        self.shares: list[list[float]] = [[] for _ in self.meters]
        self.leaving: list[list[float]] = [[] for _ in self.meters]
        self.queue: list[tuple[int, float, int]] = []
        self.begun: list[tuple[float, int]] = []

    meter = st.integers(0, 2)

    @rule(seconds=st.floats(0, 0.3) | st.floats(0, 20))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for number in range(len(self.meters)):
            self._look(number)

    @rule(number=meter, share=st.sampled_from([0.2, 5.0, 50.0, 200.0]))
    def begin_batch(self, number: int, share: float) -> None:
        if share <= self.free:
            self.free -= share
            self.shares[number].append(share)
            self._change(number)

    @rule(number=meter, data=st.data())
    def end_batch(self, number: int, data: st.DataObject) -> None:
        if self.shares[number]:
            share = data.draw(st.sampled_from(self.shares[number]))
            self.shares[number].remove(share)
            self.leaving[number].append(share)
            self._change(number)

    @rule(number=meter, count=st.integers(1, 2), times=st.sampled_from([1, 50]))
    def want(self, number: int, count: int, times: int) -> None:
        for _ in range(times):
            self.queue.append((number, self.meters[number].queue(count, self.now), count))
        self._let_in()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def think_better_of_it(self, data: st.DataObject) -> None:
        number, place, count = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))
        self.meters[number].leave(place, count, self.now)

    @rule(first=st.integers(0, 100), backwards=st.booleans())
    def look(self, first: int, backwards: bool) -> None:
        # Those who wait come in no order.
        self.queue = [*self.queue[first:], *self.queue[:first]][:: -1 if backwards else 1]
        self._let_in()

    def _let_in(self) -> None:
        left = []
        for number, place, count in self.queue:
            if self.meters[number].wait(place, count, self.now) == 0:
                self._begin(count)
            else:
                left.append((number, place, count))
        self.queue = left

    def _begin(self, count: int) -> None:
        if self.begun and self.begun[-1][0] == self.now:
            count += self.begun.pop()[1]
        self.begun.append((self.now, count))
        together = 0
        most = BURST_SECONDS * self.whole + self.least * len(self.meters)
        for at, several in reversed(self.begun):
            together += several
            assert together <= self.whole * (self.now - at) + most + TINY

    def _change(self, number: int) -> None:
        self.meters[number].change(sum(self.shares[number]), self.now)
        self._look(number)

    def _look(self, number: int) -> None:
        if self.leaving[number] and self.meters[number].left_to_pay(self.now) == 0:
            self.free += sum(self.leaving[number])
            self.leaving[number].clear()
            if not self.shares[number]:
                # A process forgets what is paid for.
                self.meters[number] = Meter(self.now, least=self.least)
                self.queue = [waiting for waiting in self.queue if waiting[0] != number]


TestSharing = Sharing.TestCase


@given(
    rate=st.floats(1 / 60, 10_000),
    least=st.integers(1, 50),
    count=st.integers(1, 50),
    seconds=st.floats(0, 100),
)
def test_where_there_is_demand_all_of_the_rate_is_used(
    rate: float, least: int, count: int, seconds: float
) -> None:
    count = min(count, least)
    seconds = min(seconds, 2_000 * count / rate)
    meter, now, begun = Meter(0.0, least=least), 0.0, 0
    meter.change(rate, now)
    while True:
        now = begin(meter, now, count)
        if now > seconds:
            break
        begun += count
    assert begun >= rate * seconds - count - TINY
    assert begun <= rate * seconds + max(least, BURST_SECONDS * rate) + TINY


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3)), max_size=20))
def test_handing_a_share_on_loses_none_of_the_rate(moves: list[tuple[float, int]]) -> None:
    """Four batches with ten items a second each move between two processes, which both want more than they get."""
    meters, batches, now, begun = [Meter(0.0), Meter(0.0)], [0, 0, 1, 1], 0.0, 0

    def share(number: int) -> float:
        return 10.0 * batches.count(number)

    def run(until: float) -> None:
        nonlocal now, begun
        while True:
            waits = [meter.wait(place, 1, now) for meter, place in zip(meters, places, strict=True)]
            soonest = min(range(2), key=waits.__getitem__)
            if now + waits[soonest] > until:
                now = until
                return
            now += waits[soonest]
            assert not waits[soonest] or meters[soonest].wait(places[soonest], 1, now) == 0
            begun += 1
            places[soonest] = meters[soonest].queue(1, now)

    for number, meter in enumerate(meters):
        meter.change(share(number), now)
    places = [meter.queue(1, now) for meter in meters]
    for pause, moved in moves:
        run(now + pause)
        left, batches[moved] = batches[moved], -1
        meters[left].change(share(left), now)
        # The batch has ended only once what it began is made up for.
        while seconds := meters[left].left_to_pay(now):
            run(now + seconds)
        batches[moved] = 1 - left
        meters[1 - left].change(share(1 - left), now)
    run(now + 1)
    assert 40 * now - 2 <= begun <= 40 * now + 2 * 4 + TINY


def begin(meter: Meter, now: float, count: int = 1) -> float:
    """Let something begin as soon as it may; return when that was."""
    place = meter.queue(count, now)
    while seconds := meter.wait(place, count, now):
        now += seconds
    return now


def test_a_slow_rate_lets_one_begin_at_once_and_spaces_the_others_evenly() -> None:
    meter, now = Meter(0.0), 0.0
    meter.change(10 / 60, now)
    times = [now := begin(meter, now) for _ in range(4)]
    assert times == pytest.approx([0, 6, 12, 18])
    # However long nobody wanted any.
    now += 1000
    assert begin(meter, now) == now
    assert begin(meter, now) == pytest.approx(now + 6)


def test_who_comes_late_to_a_turn_does_not_begin_together_with_all_others() -> None:
    meter = Meter(0.0)
    meter.change(10.0, 0.0)
    places = [meter.queue(1, 0.0) for _ in range(20)]
    # The process stood still for two seconds.
    assert [meter.wait(place, 1, 2.0) == 0 for place in places] == [True] + 19 * [False]


def test_a_share_is_left_only_once_what_it_began_is_made_up_for() -> None:
    meter = Meter(0.0)
    meter.change(10 / 60, 0.0)
    assert begin(meter, 0.0) == 0
    meter.change(0.0, 1.0)
    assert meter.left_to_pay(1.0) == pytest.approx(5)
    assert meter.left_to_pay(6.0) == 0
    assert meter.rate == 0


def test_who_begins_with_nothing_to_spend_waits_for_the_first_item_too() -> None:
    meter = Meter(0.0, least=5)
    meter.change(2.0, 0.0)
    meter.fill()
    assert begin(meter, 0.0) == pytest.approx(0.5)
