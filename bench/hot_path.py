"""Where the time of an item goes: the steps of one batch, each timed by itself in this process, beside a bare loop."""

from __future__ import annotations

import contextvars
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench import bare
from bench.items import items_file
from bench.jobs import noop
from bench.report import Figure, Report
from bench.scales import Sizes
from fanout.children.async_window import AsyncWindow
from fanout.children.book import Book
from fanout.options import Options
from fanout.readers.index import FileMarks, Marks, Span
from fanout.readers.jsonl import JsonLines
from fanout.readers.text import TextRecords
from fanout.storage.disk import Disk
from fanout.storage.files import SourceFile
from fanout.storage.rests import Items
from fanout.topology import LARGEST_BATCH

REPEATS = 30


class _Clock:
    """Processor time by step, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._began = 0.0

    def start(self) -> None:
        self._began = time.process_time()

    def step(self, name: str) -> None:
        """Note that a step ends and the next begins."""
        now = time.process_time()
        self.seconds[name].append(now - self._began)
        self._began = time.process_time()


async def measure(sizes: Sizes) -> Report:
    """Run the steps of one large batch many times."""
    count = min(LARGEST_BATCH, sizes.items)
    path = items_file(count)
    data = path.read_bytes()
    clock = _Clock()
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
        disk = Disk(name)
        for repeat in range(REPEATS):
            await _batch(clock, path, data, count, lambda rows, n=repeat: disk.create(f"rows-{n}", [rows]))  # type: ignore[misc]
            _alone(clock, data)
            clock.start()
            await bare.loop(path, Path(name) / "bare", 0)
            clock.step("bare loop")
    each = {step: [1e6 * one / count for one in seconds] for step, seconds in clock.seconds.items()}
    inside = sum(median(each[step]) for step in ("validate", "call", "serialize"))
    steps = ("split into lines", "keep book", "window", "rows", "write and sync")
    return Report(
        title=f"processor time of the steps of a batch of {count:,} typed items that do nothing",
        figures=[
            Figure.median_of("split into lines", each["split into lines"], "µs/item"),
            Figure.median_of("keep book: outcomes, limits of size", each["keep book"], "µs/item"),
            Figure.median_of("run the window", each["window"], "µs/item"),
            Figure.median_of("  of it, validate (pydantic)", each["validate"], "µs/item"),
            Figure.median_of("  of it, call the processor", each["call"], "µs/item"),
            Figure.median_of("  of it, serialize (pydantic)", each["serialize"], "µs/item"),
            Figure("  of it, slots, retries, timeouts", median(each["window"]) - inside, "µs/item"),
            Figure.median_of("format rows", each["rows"], "µs/item"),
            Figure.median_of("write and sync", each["write and sync"], "µs/item"),
            Figure("all of it", sum(median(each[step]) for step in steps), "µs/item"),
            Figure.median_of("a bare loop that does the same", each["bare loop"], "µs/item"),
        ],
        raw={"us_per_item": each},
    )


async def _batch(clock: _Clock, path: Path, data: bytes, count: int, write: Callable[[bytes], None]) -> None:
    """Do what a batch does, step by step."""
    reader = JsonLines(path)
    file = SourceFile(path.as_uri(), len(data), "")
    span = Span(FileMarks(file, Marks([0], [0], [1]), []), 0, len(data), 1, count, 0, count)
    clock.start()
    records = TextRecords(reader.json)
    records.add(path.name, reader.parse(data, span))
    clock.step("split into lines")
    book = Book(
        run_id="bench",
        processor=noop,
        options=Options(),
        key=None,
        items=[Items(0, count)],
        parts=[records],
        worker="bench",
    )
    context = contextvars.copy_context()
    window = AsyncWindow(book, noop.function, limit=10, deadline=60, context=context)
    clock.step("keep book")
    await window.run()
    clock.step("window")
    rows = b"".join(book.take_rows().results)
    clock.step("rows")
    write(rows)
    clock.step("write and sync")


def _alone(clock: _Clock, data: bytes) -> None:
    """Do by themselves the things that no window can do without."""
    validate, dump = noop.items.validator.validate_json, noop.outputs.serializer.to_json
    lines = data.splitlines()
    clock.start()
    for line in lines:
        item = validate(line)
    clock.step("validate")
    for _ in lines:
        try:
            noop.function(item).send(None)
        except StopIteration as ended:
            output = ended.value
    clock.step("call")
    for _ in lines:
        dump(output, warnings=False)
    clock.step("serialize")
