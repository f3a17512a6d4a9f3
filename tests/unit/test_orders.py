"""What orders amount to, and how shares follow: pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanout import orders, topology
from fanout.children.share import Share
from fanout.models import Status
from fanout.orders import Stance
from fanout.wire import Order

given_orders = st.builds(
    Order,
    id=st.uuids().map(str),
    kind=st.sampled_from(["pause", "resume", "update", "drain", "of a later version"]),
    at=st.just(0.0),
    who=st.just("someone"),
    now=st.booleans(),
    max_concurrency=st.none() | st.integers(1, 3),
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
        assert after.now <= after.paused
        stance = after
    assert stance.status in (Status.RUNNING, Status.PAUSED, Status.DRAINING)


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
