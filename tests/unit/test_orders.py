"""What orders amount to, and how shares follow: pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import orders, topology
from fanout.children.share import Share
from fanout.messages import Order
from fanout.models import Status
from fanout.orders import Stance

given_orders = st.builds(
    Order,
    id=st.uuids().map(str),
    kind=st.sampled_from(["pause", "resume", "update", "drain", "of a later version"]),
    at=st.just(0.0),
    who=st.just("someone"),
    now=st.booleans(),
    max_concurrency=st.none() | st.integers(1, 3),
    rate_limit=st.none() | st.sampled_from(["5/s", "6/min", "none", "of a later version"]),
)


@given(st.lists(given_orders))
def test_an_order_that_is_refused_changes_nothing_and_any_other_does(found: list[Order]) -> None:
    stance = Stance()
    for order in found:
        after, effect = orders.apply(stance, order)
        assert effect.words
        assert effect.refused == (after == stance)
        # Nothing leads back from a drain, and whoever drains is not held up by a pause.
        assert after.draining >= stance.draining
        assert not (after.draining and after.paused)
        assert after.now <= (after.paused or after.draining)
        stance = after
    assert stance.status in (Status.RUNNING, Status.PAUSED, Status.DRAINING)


def update(**said: Any) -> Order:
    return Order("id", "update", 0.0, "someone", **said)


def test_an_update_changes_several_things_and_says_what_became_of_each() -> None:
    stance, effect = orders.apply(Stance(), update(max_concurrency=5000, rate_limit="5/s"))
    assert effect == orders.Effect("max_concurrency is 5,000; rate_limit is 5/s")
    stance, effect = orders.apply(stance, update(max_concurrency=5000, rate_limit="none"))
    assert effect == orders.Effect("max_concurrency is 5,000 already; rate_limit is none, was 5/s")
    assert (stance.max_concurrency, stance.rate_limit) == (5000, "none")
    same, effect = orders.apply(stance, update(rate_limit="none"))
    assert (same, effect) == (stance, orders.Effect("rate_limit is none already", refused=True))
    same, effect = orders.apply(stance, update())
    assert (same, effect) == (stance, orders.Effect("it says nothing to change", refused=True))


@pytest.mark.parametrize("after", [math.inf, math.nan, 1e18])
def test_a_pause_longer_than_any_timer_is_refused(after: float) -> None:
    stance, effect = orders.apply(Stance(), Order("a", "pause", 0.0, "someone", resume_after=after))
    assert (stance, effect.refused) == (Stance(), True)


def test_a_rate_that_is_none_is_refused_and_not_met_again() -> None:
    stance, effect = orders.apply(Stance(), update(max_concurrency=3, rate_limit="fast"))
    assert stance == Stance()
    assert effect.words.startswith("rate_limit 'fast': say items per second or minute")


@given(st.lists(st.integers(0, 1000), max_size=50), st.integers(0, 100_000))
def test_shares_add_up_and_all_of_them_go_the_same_way(shares: list[int], whole: int) -> None:
    found = topology.respread(shares, whole)
    assert sum(found) == (whole if shares else 0)
    if not shares:
        return
    pairs = list(zip(shares, found, strict=True))
    if whole < sum(shares):
        assert all(0 <= after <= before for before, after in pairs)
        # No one gives while another keeps more than it.
        assert all(after == before for before, after in pairs if before < max(found))
    else:
        assert all(after >= before for before, after in pairs)
        assert all(after == before for before, after in pairs if before > min(found) + 1)


@given(
    st.lists(st.integers(1, 20), max_size=30),
    st.lists(st.integers(0, 300), max_size=10),
)
def test_no_more_batches_are_told_to_end_than_it_takes_and_none_twice(
    held: list[int], limits: list[int]
) -> None:
    share = Share(1000, 20)
    for number, count in enumerate(held):
        share.take(str(number), count)
    told: list[str] = []
    for limit in limits:
        chosen = share.revoke(limit)
        told += chosen
        left = sum(count for number, count in enumerate(held) if str(number) not in told)
        assert left <= limit
        if chosen:
            assert left + held[int(chosen[-1])] > limit
    assert len(set(told)) == len(told)
    assert told == sorted(told, key=int, reverse=True)
    for key in told:
        assert share.is_ending(key)
        share.end(key)
        assert not share.is_ending(key)


@given(
    limit=st.integers(1, 200),
    older=st.floats(0.01, 100),
    rate=st.floats(0.01, 100),
    wider=st.integers(1, 50),
    more=st.integers(0, 200),
)
def test_batches_begun_at_a_higher_rate_and_new_ones_keep_to_the_new_rate_together(
    limit: int, older: float, rate: float, wider: int, more: int
) -> None:
    share, held = Share(limit, 10), dict[str, float]()

    def begin(worth: float) -> None:
        while offered := share.offer():
            key = str(len(held))
            share.take(key, offered)
            held[key] = offered * worth

    share.pace(older, wider)
    begin(older)
    assert sum(held.values()) <= older * limit * 1.001
    share.revoke(0)
    share.limit = limit + more
    share.pace(rate, wider)
    before = sum(held.values())
    begin(rate)
    assert sum(held.values()) <= max(before, rate * (limit + more)) * 1.001
    for key in [key for key in held if share.is_ending(key)]:
        share.end(key)
        del held[key]
        begin(rate)
        assert sum(held.values()) <= max(before, rate * (limit + more)) * 1.001
    assert share.spent > 0


def test_a_tolerance_that_is_none_is_refused() -> None:
    after, effect = orders.apply(Stance(), update(tolerated_failures="many"))
    assert (after, effect.refused) == (Stance(), True)
    assert effect.words.startswith("tolerated_failures 'many': say a number of items")


@pytest.mark.parametrize("ended", [orders.fail, orders.stop])
def test_a_run_that_stops_by_itself_revokes_its_batches_and_one_that_is_drained_does_not(
    ended: Callable[[Stance], Stance],
) -> None:
    paused, _ = orders.apply(Stance(), Order("id", "pause", 0.0, "someone"))
    after = ended(paused)
    assert (after.status, after.paused, after.revoked) == (Status.DRAINING, False, True)
    drained, _ = orders.apply(paused, Order("id", "drain", 0.0, "someone"))
    assert (drained.status, drained.revoked) == (Status.DRAINING, False)
