"""CSV: records, cells and places are exactly those of Python's own parser over the whole file."""

from __future__ import annotations

import asyncio
import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import SourceError, UsageError
from fanout.readers import Csv, Unreadable, from_source
from fanout.readers.scanner import Bounds
from tests.unit.readers.helpers import Bench, tiny

BOM = b"\xef\xbb\xbf"


class Lines:
    """Physical lines, and whether somebody asked for one more than there are."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.asked_beyond = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._lines.readline()
        if not line:
            self.asked_beyond = True
            raise StopIteration
        return line


def oracle(data: bytes, label: str, delimiter: str, names: list[str] | None) -> list[tuple[Any, str]]:
    """Return items and their places by one pass of `csv.reader` over the whole text."""
    lines = Lines(data.removeprefix(BOM).decode("utf-8", "surrogateescape"))
    reader = csv.reader(lines, delimiter=delimiter)
    found: list[tuple[Any, str]] = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return found
        except csv.Error:
            found.append(("CellTooLarge", f"{label}:{line}"))
            continue
        if not row:
            continue
        if names is None:
            names = row
            continue
        value: Any
        if lines.asked_beyond:
            value = "UnterminatedQuote"
        elif any("\udc80" <= sign <= "\udcff" for cell in row for sign in cell):
            value = "InvalidUtf8"
        elif len(row) != len(names):
            value = "WrongFieldCount"
        else:
            value = dict(zip(names, row, strict=True))
        found.append((value, f"{label}:{line}"))


def seen(rows: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    return [(v.error_type if isinstance(v, Unreadable) else v, place) for v, place in rows]


CELLS = st.one_of(
    st.sampled_from(
        ["", "a", " ", '"q"', '""', '"a,b"', '"x;y"', '"a\nb"', '"a\r\nb"', '"a\rb"', '"say ""hi"""']
    ),
    st.sampled_from(['st"ray', '"clos"ed', 'end"', '"', '" "x', "\x00", "\x0b", "\u2028", "äö€😀", "\x1c"]),
    st.integers(1, 90).map(lambda size: "x" * size),
    st.text(alphabet='ab,";\n\r ', max_size=12),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    data = b""
    for _ in range(draw(st.integers(0, 14))):
        cells = draw(st.lists(CELLS, min_size=0, max_size=4))
        row = draw(st.sampled_from([",", ";", ","])).join(cells)
        data += row.encode() + draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n"]))
    if draw(st.booleans()):
        data = data.rstrip(b"\r\n")
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from([b"\xff", b"\xc3", b'"', b"\r", b"\n"])) + data[at:]
    return (BOM if draw(st.booleans()) else b"") + data


BOUNDS = st.builds(
    Bounds,
    step=st.integers(1, 64),
    chunk=st.integers(1, 128),
    page_bytes=st.integers(1, 2048),
    page_files=st.integers(1, 4),
)


@given(
    st.lists(bodies(), min_size=1, max_size=3),
    st.sampled_from([None, b"a,b", b'"a","b\n""",c', b"a;b", b"\r\n\na,b\r"]),
    st.sampled_from([",", ";"]),
    BOUNDS,
    st.integers(1, 40),
    st.data(),
)
def test_any_range_of_any_files_is_what_the_parser_makes_of_the_whole(
    contents: list[bytes],
    header: bytes | None,
    delimiter: str,
    bounds: Bounds,
    window: int,
    data: st.DataObject,
) -> None:
    if header is not None:
        contents = [content[:3] + header + b"\n" + content[3:] if content.startswith(BOM) else header + b"\n" + content
                    for content in contents]  # fmt: skip
    names = ["a", "b"] if header is None else None
    expected = [row for n, one in enumerate(contents) for row in oracle(one, f"f{n}.csv", delimiter, names)]
    start = data.draw(st.integers(0, len(expected)), "start")
    count = data.draw(st.integers(0, len(expected) - start), "count")
    limits = data.draw(st.lists(st.sampled_from([None, 1, 2, 5]), min_size=1, max_size=3), "limits")

    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench.in_memory(Path(folder))
            for n, content in enumerate(contents):
                bench.write(f"f{n}.csv", content)
            reader = Csv(
                bench.folder / "*.csv", delimiter=delimiter, columns=names, header=header is not None
            )
            plan = await bench.plan(tiny(reader, bounds), limits)
            assert plan.total == len(expected)
            assert seen(await plan.read()) == expected
            assert seen(await plan.read(start, count)) == expected[start : start + count]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fanout.readers.csvscan.WINDOW", window)
        asyncio.run(check())


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
async def test_default_bounds_make_marks_that_lead_to_every_record(bench: Bench, ends: str) -> None:
    rows = [f'{n},"{"x" * (n % 50)}{ends if n % 7 == 0 else ""}",{n}' for n in range(20_000)]
    bench.write("a.csv", ends.join(["a,b,c", *rows]))
    plan = await bench.plan(Csv(bench.folder / "a.csv"))
    assert plan.total == 20_000
    for start in (0, 1, 7_777, 19_995):
        assert [row["a"] for row in await plan.values(start, 5)] == [str(n) for n in range(start, start + 5)]
    expected = oracle((bench.folder / "a.csv").read_bytes(), "a.csv", ",", None)
    assert await plan.read(15_000, 3) == expected[15_000:15_003]


async def test_each_file_is_read_by_its_own_header(bench: Bench) -> None:
    bench.write("1.csv", "a,b\n1,2\n")
    bench.write("2.csv", BOM + b"b,c,a\r\n3,4,5\r\n")
    plan = await bench.plan(Csv(bench.folder / "*.csv"))
    assert await plan.read() == [
        ({"a": "1", "b": "2"}, "1.csv:2"),
        ({"b": "3", "c": "4", "a": "5"}, "2.csv:2"),
    ]
    chosen = await bench.plan(Csv(bench.folder / "*.csv", columns=["a", "b"]), name="chosen")
    assert await chosen.values() == [{"a": "1", "b": "2"}, {"a": "5", "b": "3"}]


async def test_null_values_become_none_and_nothing_else_does(bench: Bench) -> None:
    bench.write("a.csv", "a,b,c\n,NA,0\nna,x,\n")
    plain = await bench.plan(Csv(bench.folder / "a.csv"))
    assert await plain.values() == [{"a": "", "b": "NA", "c": "0"}, {"a": "na", "b": "x", "c": ""}]
    nulls = await bench.plan(Csv(bench.folder / "a.csv", null_values=["", "NA"]), name="nulls")
    assert await nulls.values() == [{"a": None, "b": None, "c": "0"}, {"a": "na", "b": "x", "c": None}]
    some = await bench.plan(Csv(bench.folder / "a.csv", null_values=["NA"], columns=["b"]), name="some")
    assert await some.values() == [{"b": None}, {"b": "x"}]


async def test_a_wrong_number_of_cells_names_both_numbers(bench: Bench) -> None:
    bench.write("a.csv", "a,b,c\n1,2,3\n1,2\n1\n1,2,3,4\n")
    values = await (await bench.plan(Csv(bench.folder / "a.csv"))).values()
    assert [one.reason for one in values[1:]] == [
        "2 fields, the header has 3",
        "1 field, the header has 3",
        "4 fields, the header has 3",
    ]
    assert values[1].excerpt == "1,2"
    bare = await bench.plan(Csv(bench.folder / "a.csv", header=False, columns=["x", "y", "z"]), name="bare")
    values = await bare.values()
    assert values[0] == {"x": "a", "y": "b", "z": "c"}
    assert values[2].reason == "2 fields, the columns are 3"


async def test_a_quote_that_is_never_closed_is_one_failure(bench: Bench) -> None:
    bench.write("a.csv", 'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    values = await (await bench.plan(Csv(bench.folder / "a.csv"))).read()
    assert values[0] == ({"a": "1", "b": "2"}, "a.csv:2")
    item, place = values[1]
    assert (len(values), item.error_type, place) == (2, "UnterminatedQuote", "a.csv:3")
    assert "never closed" in item.reason


async def test_a_quote_that_is_never_closed_does_not_swallow_a_large_file(bench: Bench) -> None:
    rows = "".join(f"{n},x\n" for n in range(60_000))
    content = f'a,b\n1,2\n3,"4\n{rows}'
    bench.write("a.csv", content)
    plan = await bench.plan(Csv(bench.folder / "a.csv"))
    values = await plan.read()
    assert seen(values) == oracle(content.encode(), "a.csv", ",", None)
    item, place = values[1]
    assert (item.error_type, place) == ("CellTooLarge", "a.csv:3")
    assert "131,072 characters" in item.reason
    assert item.excerpt == '3,"4'
    assert values[-1] == ({"a": "59999", "b": "x"}, "a.csv:60003")
    assert plan.total > 30_000


async def test_a_record_longer_than_a_chunk_is_found(bench: Bench) -> None:
    cell = "y\n" * 500
    content = f'a,b\n1,"{cell}"\n2,{"z" * 1000}\n3,x\n'
    bench.write("a.csv", content)
    reader = tiny(Csv(bench.folder / "a.csv"), Bounds(step=16, chunk=32, page_bytes=64, page_files=1))
    assert await (await bench.plan(reader)).read() == oracle(content.encode(), "a.csv", ",", None)


async def test_a_record_without_an_end_within_bounds_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.readers.csvscan.LARGEST_RECORD", 5_000)
    bench.write("a.csv", "a,b\n1,2\n" + "x" * 10_000)
    with pytest.raises(SourceError, match=r"a\.csv: the record of line 3 has no end"):
        await bench.plan(tiny(Csv(bench.folder / "a.csv")))


async def test_a_record_above_the_bound_is_unreadable(bench: Bench) -> None:
    bench.write("a.csv", "a,b\n1,2\n" + ",".join(["x" * 100_000] * 20) + "\n3,4\n")
    reader = Csv(bench.folder / "a.csv")
    reader.largest = 1_000_000
    values = await (await bench.plan(reader)).values()
    assert [values[0], values[2]] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert values[1].error_type == "ItemTooLarge"


@pytest.mark.parametrize("cell", ["x" * 1000, f'"{"x" * 1000}"', '"' + "x\n" * 500 + '"', "é" * 500])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_no_record_above_the_bound_is_read_however_short_and_quoted(
    bench: Bench, cell: str, end: str
) -> None:
    bench.write("a.csv", end.join(["a,b", f"1,{'y' * 998}", f"2,{cell}", "3,4", ""]))
    reader = Csv(bench.folder / "a.csv")
    reader.largest = 1000
    first, large, last = await (await bench.plan(reader)).values()
    assert [first, last] == [{"a": "1", "b": "y" * 998}, {"a": "3", "b": "4"}]
    assert (large.error_type, large.reason) == ("ItemTooLarge", "1,002 bytes, at most 1,000 are read")


async def test_another_limit_of_cells_than_when_planning_is_refused(bench: Bench) -> None:
    bench.write("a.csv", "a,b\n1,2\n")
    plan = await bench.plan(Csv(bench.folder / "a.csv"))
    before = csv.field_size_limit(1_000)
    try:
        with pytest.raises(SourceError, match="1,000 in this worker and was 131,072"):
            await plan.values()
    finally:
        csv.field_size_limit(before)


async def test_a_header_alone_is_an_empty_source(bench: Bench) -> None:
    for number, content in enumerate(["a,b", "a,b\n", "\n\na,b\r\n\r\n"]):
        bench.write("a.csv", content)
        plan = await bench.plan(Csv(bench.folder / "a.csv"), name=str(number))
        assert (plan.total, len(plan.pages)) == (0, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.csv is empty: no header row"),
        (BOM, "is empty: no header row"),
        (b"\n\r\n", "is empty: no header row"),
        (b"a,b,a,c,b\n", "has 'a', 'b' more than once"),
        (b"a,,c, \n", "has no name for column 2, 4"),
        (b'a,"b\n1,2\n', "opens a quote that is never closed"),
        (b"a,\xff\n", "not valid UTF-8"),
        (b"a," + b"x" * 140_000 + b"\n", "cannot be read: field larger"),
        (b"a,b\n", r"has no column 'id'; there are 'a', 'b'"),
    ],
)
async def test_prepare_refuses_a_header_that_cannot_be_used(
    bench: Bench, content: bytes, message: str
) -> None:
    bench.write("a.csv", content)
    with pytest.raises(SourceError, match=message):
        await Csv(bench.folder / "a.csv", key="id").prepare(bench.store, "items")


async def test_prepare_and_scan_refuse_columns_that_are_not_there(bench: Bench) -> None:
    bench.write("1.csv", "a,b\n")
    bench.write("2.csv", "a,c\n")
    reader = Csv(bench.folder / "*.csv", columns=["a", "b"])
    await reader.prepare(bench.store, "items")
    with pytest.raises(SourceError, match=r"2\.csv has no column 'b'; there are 'a', 'c'"):
        await bench.plan(reader)


async def test_a_header_longer_than_a_first_look_is_read_whole(bench: Bench) -> None:
    names = [f"column {n:06}" for n in range(20_000)]
    bench.write("a.csv", ",".join(names) + "\n" + ",".join(["1"] * 20_000))
    reader = await Csv(bench.folder / "a.csv", key=names[-1]).prepare(bench.store, "items")
    values = await (await bench.plan(tiny(reader))).values()
    assert values == [dict.fromkeys(names, "1")]


def test_arguments_that_do_not_fit_are_refused() -> None:
    for arguments, message in [
        ({"delimiter": "::"}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"delimiter": ""}, "one character"),
        ({"header": False}, "header=False needs columns="),
        ({"columns": "id"}, "a list of texts"),
        ({"null_values": "NA"}, "a list of texts"),
        ({"columns": ["a", "a"]}, "'a' twice"),
        ({"columns": ["a"], "key": "id"}, "key 'id' is not among"),
    ]:
        with pytest.raises(UsageError, match=message):
            Csv("in.csv", **arguments)  # type: ignore[arg-type]


async def test_all_arguments_travel(bench: Bench) -> None:
    bench.write("in.csv", "x;y\n1;2\n")
    reader = Csv(bench.folder / "in.csv", key="x", columns=("x",), null_values=("",), delimiter=";")
    source = (await reader.prepare(bench.store, "items")).to_source()
    again = from_source(source)
    assert again.to_source() == source
    assert source.args == {
        "path": [(bench.folder / "in.csv").as_uri()],
        "columns": ["x"],
        "null_values": [""],
        "delimiter": ";",
        "header": True,
    }
