"""JSON Lines: any range of any file is what a plain reading of the file gives."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout.errors import SourceError, UsageError
from fanout.readers import JsonLines, Unreadable, from_source
from fanout.readers.scanner import Bounds
from tests.unit.readers.helpers import Bench, tiny

BOM = b"\xef\xbb\xbf"


def oracle(data: bytes, label: str) -> list[tuple[bytes, str]]:
    """Return items and their places by the plainest of readings."""
    lines = data.removeprefix(BOM).split(b"\n")
    return [
        (line.removesuffix(b"\r"), f"{label}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b" ", b"\t ", b"\r", b"1", b'{"a":1}', b'"x\r y"', b"\x0b", b"nul\x00l"]),
        st.integers(1, 150).map(lambda size: b"x" * size),
        st.text("äöü€😀 ", min_size=1, max_size=20).map(str.encode),
    ),
    max_size=25,
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    ends = st.sampled_from([b"\n", b"\n", b"\r\n"])
    data = b"".join(line + draw(ends) for line in draw(LINES))
    if draw(st.booleans()):
        data = data.rstrip(b"\r\n") + draw(st.sampled_from([b"", b"7", b"  ", b"\r", b"\n\n"]))
    return (BOM if draw(st.booleans()) else b"") + data


BOUNDS = st.builds(
    Bounds,
    step=st.integers(1, 64),
    chunk=st.integers(1, 128),
    page_bytes=st.integers(1, 512),
    page_files=st.integers(1, 4),
)


@given(st.lists(files(), min_size=1, max_size=5), BOUNDS, st.data())
def test_any_range_of_any_files_is_what_a_plain_reading_gives(
    contents: list[bytes], bounds: Bounds, data: st.DataObject
) -> None:
    expected = [row for n, content in enumerate(contents) for row in oracle(content, f"f{n}.jsonl")]
    limits = data.draw(st.lists(st.sampled_from([None, 1, 2, 3, 7]), min_size=1, max_size=3), "limits")
    start = data.draw(st.integers(0, len(expected)), "start")
    count = data.draw(st.integers(0, len(expected) - start), "count")

    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench.in_memory(Path(folder))
            for n, content in enumerate(contents):
                bench.write(f"f{n}.jsonl", content)
            plan = await bench.plan(tiny(JsonLines(bench.folder / "*.jsonl"), bounds), limits)
            assert plan.total == len(expected)
            assert await plan.read() == expected
            assert await plan.read(start, count) == expected[start : start + count]

    asyncio.run(check())


async def test_default_bounds_make_marks_that_lead_to_every_item(bench: Bench) -> None:
    lines = [b"%d" % n + b"x" * (n % 97) for n in range(20_000)]
    bench.write("a.jsonl", b"\n".join(lines))
    plan = await bench.plan(JsonLines(bench.folder / "a.jsonl"))
    assert plan.total == 20_000
    for start in (0, 1, 1_233, 10_000, 19_990):
        assert await plan.values(start, 10) == lines[start : start + 10]
    assert (await plan.read(12_345, 1))[0][1] == "a.jsonl:12346"


@pytest.mark.parametrize("content", [b"", BOM, b"\n", b"  \n\r\n\t", BOM + b"\n"])
async def test_a_file_without_items_is_an_empty_source(bench: Bench, content: bytes) -> None:
    bench.write("a.jsonl", content)
    scan = await bench.scan(JsonLines(bench.folder / "a.jsonl"))
    assert (scan.page.count, scan.cursor, scan.total) == (0, None, 0)


async def test_invalid_utf8_spoils_its_own_line_only(bench: Bench) -> None:
    bench.write("a.jsonl", b'"a"\n"\xff\xfe b"\r\n\n"\xc3\xa9"\n"cut \xc3\n')
    values = await (await bench.plan(JsonLines(bench.folder / "a.jsonl"))).read()
    assert [value for value, _ in values][::2] == [b'"a"', '"é"'.encode()]
    broken = [row for row in values if isinstance(row[0], Unreadable)]
    assert [(value.error_type, place) for value, place in broken] == [
        ("InvalidUtf8", "a.jsonl:2"),
        ("InvalidUtf8", "a.jsonl:5"),
    ]
    assert "not valid UTF-8" in broken[0][0].reason
    assert broken[0][0].excerpt == '"\ufffd\ufffd b"'


async def test_an_item_above_the_bound_is_unreadable_and_is_not_loaded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = b'"' + b"x" * 5_000_000 + b'"'
    bench.write("a.jsonl", b"1\n2\n" + big + b"\n3\n")
    reader = JsonLines(bench.folder / "a.jsonl")
    plan = await bench.plan(reader)
    assert await plan.values() == [b"1", b"2", big, b"3"]
    loaded = 0
    real = bench.files._read_local

    def counting(*args: object) -> bytes:
        nonlocal loaded
        data = real(*args)  # type: ignore[arg-type]
        loaded += len(data)
        return data

    monkeypatch.setattr(bench.files, "_read_local", counting)
    assert await plan.values(0, 2) == [b"1", b"2"]
    assert await plan.values(3, 1) == [b"3"]
    assert loaded < 100
    reader.largest = 1_000_000
    values = await plan.read()
    assert [value for value, _ in values if isinstance(value, bytes)] == [b"1", b"2", b"3"]
    item, place = values[2]
    assert (item.error_type, place) == ("ItemTooLarge", "a.jsonl:3")
    assert item.reason == "5,000,003 bytes, at most 1,000,000 are read"
    assert item.excerpt.startswith('"xxx')
    assert loaded < 2_000


async def test_a_line_of_a_hundred_megabytes_is_read_whole(bench: Bench) -> None:
    big = b'"' + b"x" * 100_000_000 + b'"'
    bench.write("a.jsonl", b"1\n" + big + b"\n2")
    plan = await bench.plan(JsonLines(bench.folder / "a.jsonl"))
    assert plan.total == 3
    assert (await plan.values(1, 1))[0] == big
    assert await plan.values(2, 1) == [b"2"]


async def test_a_retried_scan_finds_the_index_that_it_wrote(bench: Bench) -> None:
    bench.write("a.jsonl", b"1\n2\n")
    reader = JsonLines(bench.folder / "a.jsonl")
    assert await bench.scan(reader) == await bench.scan(reader)


async def test_a_retried_scan_of_a_source_that_changed_is_refused(bench: Bench) -> None:
    bench.write("a.jsonl", b"1\n2\n")
    reader = JsonLines(bench.folder / "a.jsonl")
    await bench.scan(reader)
    bench.write("a.jsonl", b"1\n2\n3\n")
    with pytest.raises(SourceError, match="changed while the run was being planned"):
        await bench.scan(reader)


async def test_a_file_that_changes_after_planning_is_refused(bench: Bench) -> None:
    bench.write("a.jsonl", b"1\n2\n3\n")
    plan = await bench.plan(JsonLines(bench.folder / "a.jsonl"))
    bench.write("a.jsonl", b"1\n2\n3\n4\n")
    with pytest.raises(SourceError, match=r"a\.jsonl changed since the run was planned"):
        await plan.values()


async def test_a_file_that_changes_between_two_pages_is_refused(bench: Bench) -> None:
    bench.write("a.jsonl", b"12345\n" * 100)
    reader = tiny(JsonLines(bench.folder / "a.jsonl"))
    scan = await bench.scan(reader)
    assert scan.cursor is not None
    bench.write("a.jsonl", b"12345\n" * 101)
    with pytest.raises(SourceError, match="changed since"):
        await bench.scan(reader, scan.cursor)


async def test_an_index_of_another_version_of_fanout_is_refused(bench: Bench) -> None:
    bench.write("a.jsonl", b"1\n")
    plan = await bench.plan(JsonLines(bench.folder / "a.jsonl"))
    plan.pages[0].locator["index"] = "_index/other.json"
    await bench.store.create("_index/other.json", b'{"index": 99}')
    with pytest.raises(SourceError, match="another version of fanout"):
        await plan.values()


async def test_the_estimate_of_the_total_is_near_and_becomes_exact(bench: Bench) -> None:
    for n in range(4):
        bench.write(f"{n}.jsonl", b"12345\n" * 100)
    reader = tiny(JsonLines(bench.folder / "*.jsonl"))
    first = await bench.scan(reader)
    assert first.page.count < 50
    assert first.total == 400
    assert (await bench.plan(reader)).total == 400


async def test_a_limited_scan_ends_exactly_and_is_exhausted_when_nothing_follows(bench: Bench) -> None:
    bench.write("a.jsonl", b"1\n\n2\n3\n")
    reader = JsonLines(bench.folder / "a.jsonl")
    first = await bench.scan(reader, limit=2)
    assert (first.page.count, first.total) == (2, 3)
    second = await bench.scan(reader, first.cursor, limit=1)
    assert (second.page.start, second.page.count, second.cursor, second.total) == (2, 1, None, 3)


async def test_several_patterns_are_read_in_the_order_given_and_labelled_from_their_common_folder(
    bench: Bench,
) -> None:
    bench.write("b/x.jsonl", b"1\n")
    bench.write("a/x.jsonl", b"2\n")
    bench.write("a/deep/y.jsonl", b"3\n")
    reader = JsonLines([bench.folder / "b" / "x.jsonl", str(bench.folder / "a" / "**" / "*.jsonl")])
    assert await (await bench.plan(reader)).read() == [
        (b"1", "b/x.jsonl:1"),
        (b"3", "a/deep/y.jsonl:1"),
        (b"2", "a/x.jsonl:1"),
    ]


async def test_a_hundred_plain_paths_are_planned_page_by_page(bench: Bench) -> None:
    paths = [bench.write(f"{n:03}.jsonl", b"%d\n" % n) for n in range(100)]
    plan = await bench.plan(tiny(JsonLines(paths)))
    assert len(plan.pages) > 30
    assert await plan.values() == [b"%d" % n for n in range(100)]


async def test_prepare_refuses_what_is_not_there(bench: Bench) -> None:
    bench.write("in.jsonl", b"1\n")
    for path, message in [
        (bench.folder / "no.jsonl", "no such file: .*no.jsonl"),
        (bench.folder, r"is a folder; name its files, such as .*/\*\.jsonl"),
        (bench.folder / "*.json", "no file matches"),
        (bench.folder / "no" / "*.json", "no file matches"),
        ([bench.folder / "in.jsonl", bench.folder / "no.jsonl"], "no such file"),
    ]:
        with pytest.raises(SourceError, match=message):
            await JsonLines(path).prepare(bench.store, "items")  # type: ignore[arg-type]


async def test_a_prepared_reader_travels_with_absolute_urls(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("in.jsonl", b"1\n")
    monkeypatch.chdir(bench.folder)
    reader = await JsonLines("in.jsonl", key="id").skip(1).limit(5).prepare(bench.store, "items")
    source = reader.to_source()
    assert source.args == {"path": [(bench.folder / "in.jsonl").as_uri()]}
    again = from_source(source)
    assert again.to_source() == source
    assert (source.kind, source.key, source.skip, source.limit) == ("jsonl", "id", 1, 5)


async def test_a_remote_source_that_the_client_cannot_reach_is_left_to_the_workers(bench: Bench) -> None:
    reader = JsonLines("http://127.0.0.1:9/in.jsonl")
    import fanout.readers.text as text

    original = text.REMOTE_SECONDS
    text.REMOTE_SECONDS = 0.05
    try:
        assert await reader.prepare(bench.store, "items") is reader
    finally:
        text.REMOTE_SECONDS = original


def test_paths_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one path"):
        JsonLines([])
    with pytest.raises(UsageError, match="takes paths, got int"):
        JsonLines([3])  # type: ignore[list-item]
