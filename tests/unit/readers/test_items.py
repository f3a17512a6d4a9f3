"""Items from memory: inline or staged, they are the values that were given."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import to_json

from fanout.errors import UsageError
from fanout.readers import Items, from_source, items
from tests.unit.readers.helpers import Bench


class Model(BaseModel):
    id: int
    day: date


@dataclass
class Point:
    x: int
    y: float


async def through(bench: Bench, reader: Items) -> list[Any]:
    """Prepare, plan and read items, as values."""
    plan = await bench.plan(await reader.prepare(bench.store, "urls/_items/n1"))
    return [json.loads(value) if isinstance(value, bytes) else value for value in await plan.values()]


async def test_few_items_travel_inline(bench: Bench) -> None:
    reader = await Items([1, "two", {"three": [3.5, None]}], key="id").prepare(bench.store, "n")
    source = reader.to_source()
    assert (source.kind, source.key) == ("items", "id")
    assert source.args == {"values": [1, "two", {"three": [3.5, None]}]}
    plan = await bench.plan(from_source(source), limits=[2])
    assert [page.values for page in plan.pages] == [[1, "two"], [{"three": [3.5, None]}]]
    assert await plan.read(1, 2) == [("two", "item 1"), ({"three": [3.5, None]}, "item 2")]
    assert await bench.store.list() == []


async def test_models_dataclasses_and_dates_become_their_json(bench: Bench) -> None:
    given_items = [Model(id=1, day=date(2026, 1, 2)), Point(1, 2.5), {"when": date(2026, 1, 2)}, (1, 2)]
    assert await through(bench, Items(given_items)) == [
        {"id": 1, "day": "2026-01-02"},
        {"x": 1, "y": 2.5},
        {"when": "2026-01-02"},
        [1, 2],
    ]


async def test_async_iterables_and_generators_are_taken(bench: Bench) -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    assert await through(bench, Items(numbers())) == [0, 1, 2]
    assert await through(bench, Items(n * 2 for n in range(3))) == [0, 2, 4]


async def test_many_items_are_staged_and_called_by_their_index(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "STAGED_BYTES", 20_000)
    given_items = [{"id": n, "text": "ü" * 50} for n in range(1_000)]
    reader = await Items(given_items, key="id").skip(3).limit(9).prepare(bench.store, "urls/_items/n1")
    source = reader.to_source()
    assert (source.kind, source.key, source.skip, source.limit) == ("staged", "id", 3, 9)
    staged = await bench.store.list("urls/_items/n1")
    assert len(staged) == source.args["parts"] == 7
    plan = await bench.plan(from_source(source), limits=[None, 300])
    rows = await plan.read()
    assert [json.loads(value) for value, _ in rows] == given_items
    assert [place for _, place in rows] == [f"item {n}" for n in range(1_000)]
    assert await from_source(source).prepare(bench.store, "n") is not None


@pytest.mark.parametrize("size", [items.INLINE_BYTES - 1, items.INLINE_BYTES])
async def test_the_limit_of_inline_items_is_on_their_text(bench: Bench, size: int) -> None:
    # Quotes and a line's end are three bytes.
    reader = await Items(["x" * (size - 3)]).prepare(bench.store, "n")
    assert reader.kind == ("items" if size < items.INLINE_BYTES else "staged")


async def test_no_items_are_an_empty_source(bench: Bench) -> None:
    scan = await bench.scan(await Items([]).prepare(bench.store, "n"))
    assert (scan.page.count, scan.cursor, scan.total) == (0, None, 0)


async def test_a_prepared_reader_is_prepared_once(bench: Bench) -> None:
    reader = await Items([1]).prepare(bench.store, "n")
    assert await reader.prepare(bench.store, "n") is reader


async def test_an_item_that_json_cannot_express_is_named_by_position_and_type(bench: Bench) -> None:
    for value in (object(), lambda: None, {"x": object()}, "\ud800"):
        with pytest.raises(
            UsageError, match=rf"item 1 cannot be written as JSON: it is a {type(value).__name__}"
        ):
            await Items([1, value]).prepare(bench.store, "n")


async def test_an_item_that_contains_itself_is_refused(bench: Bench) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UsageError, match="item 0 cannot be written as JSON: it is a list"):
        await Items([loop]).prepare(bench.store, "n")


async def test_a_used_up_iterator_is_refused(bench: Bench) -> None:
    reader = Items(iter([1, 2]))
    await reader.prepare(bench.store, "n")
    with pytest.raises(UsageError, match="an earlier run has used up"):
        await reader.prepare(bench.store, "n")
    again = Items([1, 2])
    await again.prepare(bench.store, "n")
    assert (await again.prepare(bench.store, "n")).args() == {"values": [1, 2]}


async def test_a_generator_that_has_ended_is_refused_with_its_name() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    used, used_later = numbers(), later()
    assert list(used) == [1]
    assert [number async for number in used_later] == [1]
    with pytest.raises(UsageError, match=r"the generator .*numbers has ended already"):
        Items(used)
    with pytest.raises(UsageError, match=r"the generator .*later has ended already"):
        Items(used_later)
    begun = numbers()
    next(begun)
    assert Items(begun).listed() == []


def test_one_value_instead_of_several_is_refused() -> None:
    for value in ("in.jsonl", b"x", {"a": 1}, Model(id=1, day=date(2026, 1, 2))):
        with pytest.raises(UsageError, match="takes several values, got one"):
            Items(value)
    with pytest.raises(UsageError, match="takes an iterable, got int"):
        Items(3)  # type: ignore[arg-type]


def test_items_that_are_not_prepared_do_not_travel() -> None:
    with pytest.raises(UsageError, match="not prepared"):
        Items([1]).to_source()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(JSON)
def test_a_staged_line_holds_one_line_break(value: Any) -> None:
    line = items._to_line(value, 0)
    assert line == to_json(value) + b"\n"
    assert line.count(b"\n") == 1
    assert json.loads(line) == value
