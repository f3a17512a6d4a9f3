from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanout.pages import Page
from fanout.parent.tiler import Tiler


@given(
    counts=st.lists(st.integers(0, 50), max_size=12),
    size=st.integers(1, 60),
    first=st.integers(0, 100),
    inline=st.booleans(),
    data=st.data(),
)
def test_spans_tile_the_pages_whenever_they_are_taken(
    counts: list[int], size: int, first: int, inline: bool, data: st.DataObject
) -> None:
    tiler, found, start = Tiler(), [], first
    for count in counts:
        values = list(range(start, start + count)) if inline else None
        tiler.add(Page(start, count, size=10 * count, values=values))
        start += count
        while data.draw(st.booleans()) and (span := tiler.take(size)) is not None:
            found.append(span)
    tiler.complete = True
    while (span := tiler.take(size)) is not None:
        found.append(span)
    assert [span.count for span in found[:-1]] == [size] * len(found[:-1])
    assert sum(span.count for span in found) == sum(counts)
    reached = first
    for span in found:
        assert span.start == reached
        assert span.pages[0].start == span.start
        assert span.pages[-1].end == span.end
        if inline:
            values = [value for page in span.pages for value in page.values or []]
            assert values == list(range(span.start, span.end))
        reached = span.end


def test_a_span_waits_for_enough_items_or_for_the_end() -> None:
    tiler = Tiler([Page(0, 3)])
    assert tiler.take(5) is None
    tiler.complete = True
    span = tiler.take(5)
    assert span is not None
    assert span.count == 3
