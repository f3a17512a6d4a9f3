"""The shape of the tree, for every size from 1 to 10^10 items: no limit of Temporal is ever met."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout import topology
from fanout.children.share import Share
from fanout.options import Options

PENDING_LIMIT = 2_000
HISTORY_LIMIT = 51_200

sizes = st.integers(1, 10**10) | st.sampled_from([10**n for n in range(11)])
options = st.builds(
    Options,
    max_concurrency=st.integers(1, 2_000_000) | st.sampled_from([1, 2, 100, 1_000_000, 10_000_000]),
    batch_size=st.none() | st.integers(1, 100_000),
    batch_concurrency=st.none() | st.integers(1, 100_000),
    max_children=st.integers(2, 1000) | st.just(1000),
    history_limit=st.none() | st.integers(100, 40_000),
    rate_limit=st.none() | st.sampled_from(["1/min", "10/s", "200/s", "100000/s"]),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, Options]:
    total, chosen = draw(sizes), draw(options)
    # What a person may choose without asking for more partitions than there are names for.
    size = draw(st.none() | st.integers(max(1, total // 10**7), 10**8))
    return total, Options(**{**chosen.__dict__, "partition_size": size})


def spread(batch_concurrency: int, concurrency: int, items: int) -> list[int]:
    """Return how a partition spends its share on its first batches."""
    share, slots = Share(concurrency, batch_concurrency), list[int]()
    while len(slots) < items and (offered := share.offer()):
        share.take(str(len(slots)), offered)
        slots.append(offered)
    return slots


def children_of(shape: topology.Shape, level: int, items: int) -> int:
    return ceil(items / shape.unit(level))


@given(runs())
def test_no_node_has_more_children_than_allowed(run: tuple[int, Options]) -> None:
    total, chosen = run
    shape = topology.plan(total, chosen)
    assert children_of(shape, shape.levels, total) <= chosen.max_children <= PENDING_LIMIT
    for level in range(shape.levels):
        assert children_of(shape, level, shape.unit(level + 1)) <= chosen.max_children


@given(runs())
def test_the_tree_is_no_deeper_than_it_must_be(run: tuple[int, Options]) -> None:
    total, chosen = run
    shape = topology.plan(total, chosen)
    if shape.levels:
        assert children_of(shape, shape.levels - 1, total) > chosen.max_children


@given(runs())
def test_all_partitions_have_the_items_of_the_run(run: tuple[int, Options]) -> None:
    total, chosen = run
    shape = topology.plan(total, chosen)
    assert shape.partition_size >= 1
    if chosen.partition_size is not None:
        assert shape.partition_size == chosen.partition_size


@given(runs())
def test_the_live_batches_never_exceed_max_concurrency(run: tuple[int, Options]) -> None:
    total, chosen = run
    shape = topology.plan(total, chosen)

    def spent(level: int, concurrency: int, items: int) -> int:
        live = topology.live_children(shape, level, concurrency, items)
        assert 1 <= live <= min(concurrency, PENDING_LIMIT)
        shares = topology.divide(concurrency, live)
        assert min(shares) >= 1
        below = min(items, shape.unit(level))
        # All shares are one of two numbers: each is looked at once.
        if level > 0:
            return sum(spent(level - 1, share, below) * shares.count(share) for share in set(shares))
        found = 0
        for share in set(shares):
            slots = spread(shape.batch_concurrency, share, below)
            assert len(slots) <= topology.MAX_WINDOW <= PENDING_LIMIT
            assert all(1 <= slot <= shape.batch_concurrency for slot in slots)
            found += sum(slots) * shares.count(share)
        return found

    assert spent(shape.levels, chosen.max_concurrency, total) <= chosen.max_concurrency


@given(total=st.integers(1_000_000, 10**10), concurrency=st.integers(1, 100_000))
def test_with_default_options_a_large_run_reaches_max_concurrency(total: int, concurrency: int) -> None:
    chosen = Options(max_concurrency=concurrency)
    shape = topology.plan(total, chosen)
    live = topology.live_children(shape, shape.levels, concurrency, total)
    reached = sum(
        sum(spread(shape.batch_concurrency, share, shape.partition_size))
        for share in topology.divide(concurrency, live)
    )
    assert shape.levels == 0
    assert reached == concurrency


@pytest.mark.parametrize("total", [1, 100, 10_000, 250_000, 1_000_000, 10**8, 10**10])
def test_by_default_a_run_has_few_large_partitions(total: int) -> None:
    shape = topology.plan(total, Options())
    assert ceil(total / shape.partition_size) <= 1000
    assert shape.levels == 0


@given(options, st.integers(1, topology.MAX_WINDOW))
def test_a_partition_continues_as_new_well_below_the_limit_of_a_history(
    chosen: Options, batches: int
) -> None:
    limit = topology.history_limit(chosen, batches)
    # When the limit is seen, each batch in flight still ends and each slot may have begun one more.
    assert limit + 2 * topology.EVENTS_PER_BATCH * batches < HISTORY_LIMIT


@given(
    remaining=st.integers(1, 10**8),
    size=st.integers(1, topology.LARGEST_BATCH),
    concurrency=st.integers(1, 1000),
    batches=st.integers(1, 500),
    pace=st.floats(0, 10**9),
    chosen=options,
)
def test_a_batch_takes_at_least_one_item_and_never_more_than_remain(
    remaining: int, size: int, concurrency: int, batches: int, pace: float, chosen: Options
) -> None:
    taken = topology.next_batch(size, pace, remaining, concurrency, batches, chosen)
    assert 1 <= taken <= remaining
    if chosen.batch_size is not None:
        assert taken <= chosen.batch_size


@given(
    size=st.integers(1, topology.LARGEST_BATCH),
    pace=st.floats(0, 10**12),
    chosen=options,
    bytes_per_item=st.floats(0, 10**9),
)
def test_a_batch_stays_within_its_bounds_however_long_the_last_one_took(
    size: int, pace: float, chosen: Options, bytes_per_item: float
) -> None:
    grown = topology.grown_size(size, pace, chosen, bytes_per_item)
    assert 1 <= grown <= max(size, topology.LARGEST_BATCH)
    if chosen.batch_size is None and pace and bytes_per_item * grown > chosen.max_batch_bytes:
        assert grown == 1


def test_quick_items_soon_get_the_largest_batches() -> None:
    size = topology.first_size(Options(), 60)
    assert topology.grown_size(size, 100_000, Options(), 60) == topology.LARGEST_BATCH


def test_the_first_batches_of_large_items_read_little_in_vain() -> None:
    assert topology.first_size(Options(), 60) == topology.FIRST_BATCH
    assert topology.first_size(Options(), 4096) == topology.FIRST_BYTES / 4096
    assert topology.first_size(Options(), 2 * topology.FIRST_BYTES) == 1
    assert topology.first_size(Options(batch_size=700), 4096) == 700


def test_slow_items_get_batches_of_about_batch_seconds() -> None:
    assert topology.grown_size(1000, 2.0, Options(batch_seconds=10), 60) == 20


@pytest.mark.parametrize("items", [100, 300, 1000])
def test_a_small_set_begins_with_all_of_max_concurrency_in_flight(items: int) -> None:
    chosen = Options(max_concurrency=100)
    shape = topology.plan(items, chosen)
    slots = spread(shape.batch_concurrency, 100, items)
    remaining, begun = items, 0
    for slot in slots:
        taken = topology.next_batch(topology.FIRST_BATCH, 0.0, remaining, slot, len(slots), chosen)
        remaining -= taken
        begun += min(slot, taken)
    assert begun == 100


def test_the_last_batches_of_quick_items_are_not_made_small() -> None:
    assert topology.next_batch(20_000, 200_000, 30_000, 10, 5, Options()) == 20_000


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_dividing_loses_nothing(whole: int, parts: int) -> None:
    shares = topology.divide(whole, parts)
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


def test_dividing_into_no_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="0 parts"):
        topology.divide(1, 0)


@given(
    estimate=st.integers(1, 10**7),
    truth=st.integers(1, 10**10),
    children=st.integers(2, 1000),
    data=st.data(),
)
def test_an_estimate_that_was_far_too_low_still_fits_the_tree(
    estimate: int, truth: int, children: int, data: Any
) -> None:
    size = data.draw(st.integers(max(1, truth // 10**6), 10**7))
    chosen = Options(max_children=children, partition_size=size)
    shape = topology.plan(estimate, chosen, exact=False)
    planned = next(number for number in range(children) if shape.takes_the_rest(number))
    assert planned == children - 1
    rest = max(1, truth - planned * shape.unit(shape.levels))
    level = shape.level_holding(rest)
    assert shape.unit(level) >= rest
    assert level == 0 or children_of(shape, level - 1, rest) <= children


def test_a_size_that_is_known_leaves_no_child_with_the_rest() -> None:
    shape = topology.plan(1000, Options(max_children=2))
    assert not any(shape.takes_the_rest(number) for number in range(10))


@pytest.mark.parametrize(
    ("rate", "concurrency", "batches"),
    [("10/min", 100, 1), ("50/s", 100, 6), ("200/s", 100, 10), ("200/s", 10_000, 20), ("50/s", 10**6, 100)],
)
def test_a_limited_run_has_about_as_many_batches_as_have_a_rate_worth_having(
    rate: str, concurrency: int, batches: int
) -> None:
    chosen = Options(max_concurrency=concurrency, rate_limit=rate)
    shape = topology.plan(10**7, chosen)
    live = topology.live_children(shape, shape.levels, concurrency, 10**7)
    spent = [spread(shape.batch_concurrency, share, 10**7) for share in topology.divide(concurrency, live)]
    assert sum(map(len, spent)) == batches
    assert sum(map(sum, spent)) == concurrency


@given(
    rate=st.floats(0.001, 100),
    concurrency=st.integers(1, 1000),
    remaining=st.integers(1, 10**6),
    list_size=st.integers(1, 50),
)
def test_a_batch_that_keeps_to_a_rate_lasts_as_long_as_others(
    rate: float, concurrency: int, remaining: int, list_size: int
) -> None:
    chosen = Options()
    taken = topology.next_batch(
        30_000, 0.0, remaining, concurrency, 1, chosen, rate=rate, list_size=list_size
    )
    assert 1 <= taken <= remaining
    assert taken <= max(list_size, rate * concurrency * chosen.batch_seconds + 1)
    used = topology.used_concurrency(taken, concurrency, rate, chosen)
    # However few items it has, its share is enough to be through with them in time.
    assert used == concurrency or taken <= used * rate * chosen.batch_seconds * 1.001
