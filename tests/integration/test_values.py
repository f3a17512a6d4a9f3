"""Every kind of value that a processor takes and returns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

import fanout
from tests.integration.engine import Engine, write_lines
from tests.integration.values import Image, Point


class StrictImage(BaseModel):
    model_config = ConfigDict(strict=True)
    id: UUID
    taken: date


class Row(TypedDict):
    name: str
    count: int


async def test_items_and_outputs_are_validated_and_written_by_their_annotations(engine: Engine) -> None:
    @fanout.processor(name="model")
    async def model(item: Image) -> Image:
        assert isinstance(item, Image)
        return item

    @fanout.processor(name="dataclass")
    def dataclass(item: Point) -> Point:
        assert isinstance(item, Point)
        assert isinstance(item.y, Decimal)
        return item

    @fanout.processor(name="typeddict")
    async def typeddict(item: Row) -> Row:
        return {"name": item["name"].upper(), "count": item["count"] + 1}

    @fanout.processor(name="plain")
    async def plain(item: dict[str, list[int]]) -> dict[str, int]:
        return {name: sum(numbers) for name, numbers in item.items()}

    @fanout.processor(name="any")
    async def anything(item):  # type: ignore[no-untyped-def]
        return item

    @fanout.processor(name="none")
    async def none(item: Any) -> None:
        return None

    cases: list[tuple[Any, list[Any], list[Any]]] = [
        (
            model,
            [{"id": "7"}, Image(id=8)],
            [{"id": 7, "taken": "2013-01-01T00:00:00Z"}, {"id": 8, "taken": "2013-01-01T00:00:00Z"}],
        ),
        (dataclass, [{"x": 1}, Point(2)], [{"x": 1, "y": "0.5"}, {"x": 2, "y": "0.5"}]),
        (typeddict, [{"name": "a", "count": 1}], [{"name": "A", "count": 2}]),
        (plain, [{"a": [1, 2]}, {}], [{"a": 3}, {}]),
        (
            anything,
            [1, "é", None, True, 1.5, [1], {"a": {}}, 2**60],
            [1, "é", None, True, 1.5, [1], {"a": {}}, 2**60],
        ),
        (none, [1, 2], [None, None]),
    ]
    async with engine.worker(*(case[0] for case in cases)) as client:
        for number, (processor, items, outputs) in enumerate(cases):
            ended = await engine.run(client, processor, items)
            assert [ended.results.get(n) for n in range(len(items))] == outputs, ended.failures
            if number < 4:
                path = write_lines(engine.folder / f"{number}.jsonl", items if number > 1 else items[:1])
                ended = await engine.run(client, processor, fanout.JsonLines(path))
                assert ended.results[0] == outputs[0]


async def test_a_strict_model_is_as_strict_with_items_in_memory_as_with_those_in_a_file(
    engine: Engine,
) -> None:
    """In JSON a UUID and a date are texts: a strict model takes them from there."""

    @fanout.processor(name="strict")
    async def strict(item: StrictImage) -> str:
        return f"{item.taken:%Y}"

    item = {"id": "12345678-1234-5678-1234-567812345678", "taken": "2013-05-06"}
    path = write_lines(engine.folder / "x.jsonl", [item])
    async with engine.worker(strict) as client:
        assert (await engine.run(client, strict, fanout.JsonLines(path))).results == {0: "2013"}
        assert (await engine.run(client, strict, [item])).results == {0: "2013"}


async def test_an_item_that_a_failed_attempt_changed_is_whole_for_the_next_one(engine: Engine) -> None:
    @fanout.processor(name="changes", retries=2)
    async def changes(item: Any) -> Any:
        item["seen"] = item.get("seen", 0) + 1
        raise ValueError(str(item["seen"]))

    async with engine.worker(changes) as client:
        ended = await engine.run(client, changes, [{"id": 1}])
    assert ended.failed(0) == ("ValueError", "1", 3)
    assert ended.failures[0].input == {"id": 1}


async def test_an_output_that_does_not_fit_its_annotation_is_written_as_it_is(engine: Engine) -> None:
    @fanout.processor(name="lies")
    async def lies(number: int) -> int:
        return "text"  # type: ignore[return-value]

    async with engine.worker(lies) as client:
        assert (await engine.run(client, lies, fanout.Range(1))).results == {0: "text"}
