"""How many items a batch may read within some bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import fanout
from fanout.pages import Page
from fanout.readers import Items, JsonLines, Range, from_source
from fanout.storage.files import Files
from fanout.storage.roots import Roots
from tests.unit.readers.helpers import Bench, tiny


class Counting(Files):
    """Counts the bytes that a reader fetches."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Roots([str(folder)]))
        self.fetched = 0

    async def read_all(self, ranges: Any) -> list[bytes]:
        found = await super().read_all(ranges)
        self.fetched += sum(len(data) for data in found)
        return found


async def fetched(bench: Bench, reader: fanout.Reader, page: Page, start: int, count: int) -> int:
    files = Counting(bench.folder)
    records = await reader.read(files, bench.store, page, start, count)
    assert len(records.values) == count
    return files.fetched


LINES = st.lists(st.sampled_from(["1", "", '"{}"'.format("x" * 30), '"{}"'.format("x" * 900)]), max_size=40)


@given(st.lists(LINES, min_size=1, max_size=3), st.sampled_from([50, 200, 10**9]), st.data())
async def test_what_fits_is_right_to_within_a_mark_and_its_bytes_bound_what_is_read(
    tmp_path_factory: Any, files: list[list[str]], largest: int, data: st.DataObject
) -> None:
    bench = Bench.in_memory(tmp_path_factory.mktemp("fit"))
    for number, lines in enumerate(files):
        bench.write(f"{number}.jsonl", "".join(f"{line}\n" for line in lines))
    reader = tiny(JsonLines(bench.folder / "*.jsonl"))
    plan = await bench.plan(reader)
    page = data.draw(st.sampled_from(plan.pages))
    if not page.count:
        return
    reader.largest = largest
    start = data.draw(st.integers(page.start, page.end - 1))
    wanted = data.draw(st.integers(1, page.end - start))
    most = data.draw(st.integers(0, 3_000))

    count, size = await reader.fit(bench.files, bench.store, page, start, wanted, most)

    assert 1 <= count <= wanted
    assert await fetched(bench, reader, page, start, count) <= size
    if count > 1:
        assert size <= most
    if size <= most and count < wanted:
        # One more begins the next step, which is too much.
        _, more = await reader.fit(bench.files, bench.store, page, start, count + 1, 10**9)
        assert more > most


async def test_a_batch_of_skewed_items_reads_no_more_than_it_may(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path)
    small, large = "x" * 97, "y" * 1_000_000
    bench.write("skewed.jsonl", f'"{small}"\n' * 9_000 + f'"{large}"\n' * 20)
    reader = JsonLines(bench.folder / "skewed.jsonl")
    (page,) = (await bench.plan(reader)).pages
    most = 4_000_000

    first, size = await reader.fit(bench.files, bench.store, page, 0, page.count, most)
    assert 9_000 <= first <= 9_004
    assert size <= most
    later, size = await reader.fit(bench.files, bench.store, page, 9_005, 15, most)
    assert 2 <= later <= 3
    assert await fetched(bench, reader, page, 9_005, later) <= size <= most


async def test_an_item_of_which_an_excerpt_is_read_takes_the_bytes_of_that(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path)
    bench.write("large.jsonl", f'"{"y" * 1_000_000}"\n' * 5)
    reader = JsonLines(bench.folder / "large.jsonl")
    (page,) = (await bench.plan(reader)).pages
    reader.largest = 500_000
    assert await reader.fit(bench.files, bench.store, page, 0, 5, 10_000) == (5, 4_000)
    assert await fetched(bench, reader, page, 0, 5) == 4_000


async def test_staged_items_fit_as_those_of_the_file_they_are(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path)
    reader = await Items(["z" * 100_000] * 10).prepare(bench.store, "run/_items/n")
    staged = from_source(reader.to_source())
    (page,) = (await bench.plan(staged)).pages
    count, size = await staged.fit(bench.files, bench.store, page, 0, 10, 350_000)
    assert 1 <= count <= 3
    assert 100_000 * count <= size <= 350_000


async def test_readers_that_know_no_sizes_say_that_all_fits(tmp_path: Path) -> None:
    bench = Bench.at(tmp_path)
    page = Page(0, 100, size=1_000)
    assert await Range(100).fit(bench.files, bench.store, page, 10, 50, 1) == (50, 500)
    assert await Range(0).fit(bench.files, bench.store, Page(0, 0), 0, 0, 1) == (0, 0)
