"""Slices of time: few, however many commits there are, and what they hold adds up to what was done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanout.storage.records import Commit, Effort, Slice
from fanout.storage.timeline import MOST_SLICES, merge, of_commits

SLICES = st.builds(
    lambda begin, length, good, bad: Slice(begin, begin + length, good, bad, good * 0.5, good * 1.0),
    st.integers(0, 10_000),
    st.integers(0, 500),
    st.integers(0, 100),
    st.integers(0, 5),
)


@given(st.lists(SLICES, max_size=200), st.integers(1, 70))
def test_merged_slices_are_few_in_order_and_add_up(slices: list[Slice], most: int) -> None:
    merged = merge(slices, most)
    assert len(merged) <= most
    assert [one.end for one in merged] == sorted(one.end for one in merged)
    for name in ("succeeded", "failed", "busy", "offered"):
        assert sum(getattr(one, name) for one in merged) == sum(getattr(one, name) for one in slices)
    if slices:
        assert min(one.begin for one in merged) == min(one.begin for one in slices)
        assert max(one.end for one in merged) == max(one.end for one in slices)


def test_commits_of_one_moment_are_one_slice_and_those_without_a_time_none() -> None:
    made = [
        Commit(
            "n", f"000000/{n:08}", "t", n, 1, succeeded=1, written=1000.0, seconds=2.5,
            effort=Effort(busy=1, offered=4),
        )
        for n in range(MOST_SLICES + 1)
    ]  # fmt: skip
    [one] = of_commits([*made, Commit("n", "000000/00000099", "t", 99, 1, succeeded=1)])
    assert one == Slice(997.5, 1000, MOST_SLICES + 1, 0, MOST_SLICES + 1, 4 * (MOST_SLICES + 1))
