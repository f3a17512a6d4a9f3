"""Bad items get an answer: each test looks at what a person reads, and at the other items' results being whole."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

import fanout
from fanout.models import Status
from tests.integration.engine import Engine, write_lines
from tests.integration.plain_processors import length, name_of


class Wide(BaseModel):
    a: int
    b: int
    c: int
    d: int
    e: int


class Fussy(BaseModel):
    id: int

    @field_validator("id")
    @classmethod
    def look(cls, value: int) -> int:
        return {1: 1, 2: 2}[value]


# ------------------------------------------------------------------------------------ empty sources


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"\xef\xbb\xbf"])
async def test_a_file_without_items_succeeds_with_none(engine: Engine, content: bytes) -> None:
    path = engine.folder / "empty.jsonl"
    path.write_bytes(content)
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path))
        assert (await ended.run.info()).status is Status.SUCCEEDED
        assert await ended.run.item(0) is None
    assert (ended.result.status, ended.result.items) == (Status.SUCCEEDED, 0)
    assert json.loads((ended.folder / "manifest.json").read_bytes())["result"]["items"] == 0


async def test_no_items_at_all_succeed_from_every_source(engine: Engine) -> None:
    path = engine.folder / "empty.csv"
    path.write_text("id,name\n")
    async with engine.worker(name_of) as client:
        readers: list[Any] = [
            fanout.Range(0),
            [],
            fanout.Csv(path),
            fanout.Range(5).skip(9),
            fanout.Items([1]).skip(1),
        ]
        for reader in readers:
            ended = await engine.run(client, name_of, reader)
            assert (ended.result.status, ended.result.items, ended.result.not_run) == (Status.SUCCEEDED, 0, 0)


# ------------------------------------------------------------------------------------ items that cannot be read


async def test_an_invalid_value_in_line_17_is_one_failure_with_its_line(engine: Engine) -> None:
    items: list[dict[str, Any]] = [{"id": n, "name": f"n{n}"} for n in range(30)]
    items[16]["id"] = "seventeen"
    path = write_lines(engine.folder / "x.jsonl", items)
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path, key="name"))
    assert ended.result.status is Status.COMPLETED_WITH_FAILURES
    assert ended.results == {n: f"n{n}" for n in range(30) if n != 16}
    failure = ended.failures.pop(16)
    assert not ended.failures
    assert (failure.source, failure.key, failure.input) == ("x.jsonl:17", "n16", items[16])
    assert (failure.error_type, failure.attempts) == ("InvalidItem", 0)
    assert failure.message == (
        "id: Input should be a valid integer, unable to parse string as an integer (got 'seventeen')"
    )
    assert ended.result.error_types == {"InvalidItem": 1}


async def test_unusual_but_readable_lines_are_all_items(engine: Engine) -> None:
    path = engine.folder / "x.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf"  # a byte order mark
        b'{"id": 0}\r\n'  # CRLF
        b"\n   \n\t\r\n"  # blank lines
        b'  {"id": 1, "name": "\xc3\xa9"}  \n' + b'{"id": 2, "name": "' + b"x" * 5_000_000 + b'"}\n'
        b'{"id": 3, "name": "no final newline"}'
    )
    async with engine.worker(name_of, length) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path), max_item_bytes=6_000_000)
    assert not ended.failures
    assert {n: (len(v) if n == 2 else v) for n, v in ended.results.items()} == {
        0: "0",
        1: "é",
        2: 5_000_000,
        3: "no final newline",
    }


async def test_lines_that_cannot_be_read_are_one_failure_each(engine: Engine) -> None:
    path = engine.folder / "x.jsonl"
    path.write_bytes(
        b'{"id": 0}\n'
        b'{"id": 1, "name": }\n'  # no JSON
        b"\n"
        b'{"id": 2, "name": "\xff\xfe"}\n'  # no UTF-8
        b'{"id": 3}\n'
        b'{"id": 4, "name": "' + b"x" * 5_000_000 + b'"}\n'  # above max_item_bytes
        b'{"id": 5}\n'
        b'{"id": 6'  # torn, without a final newline
    )
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.JsonLines(path))
    assert ended.results == {0: "0", 3: "3", 5: "5"}
    assert {n: (f.source, f.error_type, f.attempts) for n, f in ended.failures.items()} == {
        1: ("x.jsonl:2", "InvalidItem", 0),
        2: ("x.jsonl:4", "InvalidUtf8", 0),
        4: ("x.jsonl:6", "ItemTooLarge", 0),
        6: ("x.jsonl:8", "InvalidItem", 0),
    }
    messages = {n: f.message for n, f in ended.failures.items()}
    assert messages[1].startswith("not valid JSON: expected value at line 1 column")
    assert messages[2] == "not valid UTF-8 at byte 19 of the line"
    assert re.search(r"5,000,02\d bytes, .*4,194,304", messages[4])
    assert messages[6].startswith("not valid JSON: EOF while parsing")
    assert len((ended.folder / "failures").joinpath("part-000000-00000.jsonl").read_bytes()) < 50_000


async def test_a_csv_row_that_does_not_fit_is_one_failure_with_its_line(engine: Engine) -> None:
    path = engine.folder / "x.csv"
    path.write_text('id,name\n1,"two\nlines"\nx,bad\n3,good\n')
    async with engine.worker(name_of) as client:
        ended = await engine.run(client, name_of, fanout.Csv(path, key="id"))
    assert ended.results == {0: "two\nlines", 2: "good"}
    assert (ended.failures[1].source, ended.failures[1].key) == ("x.csv:4", "x")
    assert ended.failures[1].message.startswith("id: Input should be a valid integer")


async def test_of_many_problems_of_an_item_the_first_ones_are_told(engine: Engine) -> None:
    @fanout.processor(name="wide")
    async def wide(item: Wide) -> int:
        return item.a

    async with engine.worker(wide) as client:
        ended = await engine.run(client, wide, [{}])
    assert ended.failures[0].message == "a: Field required; b: Field required; c: Field required; and 2 more"


async def test_a_validator_that_breaks_fails_its_item_alone(engine: Engine) -> None:
    @fanout.processor(name="fussy")
    async def fussy(item: Fussy) -> int:
        return item.id

    @fanout.processor(name="fussy-thread")
    def fussy_thread(item: Fussy) -> int:
        return item.id

    async with engine.worker(fussy, fussy_thread) as client:
        for processor in (fussy, fussy_thread):
            run = await engine.start(client, processor, [{"id": 1}, {"id": 7}, {"id": 2}])
            result = await asyncio.wait_for(run.result(), 15)
            assert (result.succeeded, result.error_types) == (2, {"InvalidItem": 1})
            assert [f.message async for f in run.failures()] == ["KeyError: 7"]
