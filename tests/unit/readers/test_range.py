"""Ranges: Python's own `range`, at any size, without a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import UsageError
from fanout.pages import Page
from fanout.readers import Range, from_source
from fanout.storage.files import Files
from fanout.storage.roots import Roots
from tests.unit.readers.helpers import Bench


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-7, 7).filter(bool), st.data())
def test_any_part_is_a_slice_of_the_range(start: int, stop: int, step: int, data: st.DataObject) -> None:
    numbers = range(start, stop, step)
    reader = from_source(Range(start, stop, step).to_source())
    first = data.draw(st.integers(0, len(numbers)))
    count = data.draw(st.integers(0, len(numbers) - first))
    read = reader.read(Files(Roots([])), None, Page(0, len(numbers)), first, count)  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as end:
        read.send(None)
    assert list(end.value.value.values) == list(numbers[first : first + count])


async def test_a_trillion_items_are_one_page_and_cost_nothing(bench: Bench) -> None:
    plan = await bench.plan(Range(10**12))
    assert [(page.start, page.count) for page in plan.pages] == [(0, 10**12)]
    assert await plan.read(10**12 - 2, 2) == [
        (10**12 - 2, "item 999999999998"),
        (10**12 - 1, "item 999999999999"),
    ]
    records = await plan.records(plan.pages[0], 5, 10**6)
    assert isinstance(records.values, range)
    assert not records.json


async def test_a_limit_cuts_pages(bench: Bench) -> None:
    plan = await bench.plan(Range(5, 12), limits=[3])
    assert [(page.start, page.count) for page in plan.pages] == [(0, 3), (3, 3), (6, 1)]
    assert await plan.values() == [5, 6, 7, 8, 9, 10, 11]
    assert plan.total == 7


async def test_an_empty_range_is_an_empty_source(bench: Bench) -> None:
    reader = Range(0)
    assert await reader.prepare(bench.store, "items") is reader
    scan = await bench.scan(reader)
    assert (scan.page.count, scan.cursor, scan.total) == (0, None, 0)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((), "Range takes stop"),
        ((1, 2, 3, 4), "got 4 values"),
        ((1.5,), "takes integers, got 1.5"),
        ((True,), "takes integers"),
        ((1, 5, 0), "cannot be 0"),
        ((10**12 + 1,), r"at most 10\*\*12"),
        ((2**63,), "64 bits"),
    ],
)
def test_bounds_that_make_no_range_are_refused(bounds: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Range(*bounds)
