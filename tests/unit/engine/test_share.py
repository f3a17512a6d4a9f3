"""What a partition may spend, whoever takes, gives up and ends in whatever order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fanout.children.share import MAX_BATCHES, Share


class Spending(RuleBasedStateMachine):
    """Batches begin, give up some of what they hold, and end."""

    def __init__(self) -> None:
        super().__init__()
        self.limit, self.most = 10, 3
        self.share = Share(self.limit, self.most)
        self.held: dict[str, int] = {}
        self.begun = 0

    @precondition(lambda self: self.share.offer() > 0)
    @rule()
    def begin(self) -> None:
        offered = self.share.offer()
        assert 1 <= offered <= self.most
        self.begun += 1
        key = str(self.begun)
        self.share.take(key, offered)
        self.held[key] = offered
        assert sum(self.held.values()) <= self.limit

    @precondition(lambda self: self.held)
    @rule(data=st.data(), count=st.integers(1, 5))
    def give_up(self, data: st.DataObject, count: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.share.give_up(key, count)
        self.held[key] = max(0, self.held[key] - count)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.share.end(key)
        del self.held[key]

    @rule(count=st.integers(1, 5))
    def a_batch_that_has_ended_gives_up_nothing(self, count: int) -> None:
        self.share.give_up("long ago", count)

    @rule(limit=st.integers(1, 40))
    def change(self, limit: int) -> None:
        self.limit = self.share.limit = limit

    @invariant()
    def is_spent_what_batches_hold(self) -> None:
        assert self.share.spent == sum(self.held.values())
        assert self.share.in_flight == len(self.held) <= MAX_BATCHES

    @invariant()
    def nothing_that_is_worth_a_batch_stays_free(self) -> None:
        free = self.limit - self.share.spent
        worth = free >= (self.most if self.held else 1)
        assert not worth or self.share.offer() > 0


TestSpending = Spending.TestCase


def test_a_share_is_divided_evenly_among_its_batches() -> None:
    share, taken = Share(25, 10), list[int]()
    while offered := share.offer():
        taken.append(offered)
        share.take(str(len(taken)), offered)
    assert taken == [9, 8, 8]


def test_crumbs_wait_until_there_are_enough_for_a_batch() -> None:
    share = Share(20, 10)
    share.take("a", 10)
    share.take("b", 10)
    share.give_up("a", 4)
    assert share.offer() == 0
    share.give_up("b", 1)
    assert share.offer() == 5


def test_crumbs_are_spent_where_nothing_else_runs() -> None:
    assert Share(2, 10).offer() == 2
