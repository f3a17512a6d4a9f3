"""The work that is the same for all peers: batches of lines, validated, processed and written as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from bench.model import Item
from bench.peers.protocol import Job


class Batch(NamedTuple):
    """Some lines of a file: what a task is told, in values that every serializer knows.

    Attributes:
        source: The file.
        begin: Where the first line begins, in bytes.
        size: Of all lines, in bytes.
        first: Index of the first line.
        target: Folder for the file of its rows.
    """

    source: str
    begin: int
    size: int
    first: int
    target: str


def batches(job: Job) -> Iterator[Batch]:
    """Yield the batches of a file: the driver counts lines, workers read them."""
    begin = first = 0
    with job.source.open("rb") as file:
        while lines := list(islice(file, job.chunk)):
            size = sum(map(len, lines))
            yield Batch(str(job.source), begin, size, first, str(job.target))
            begin += size
            first += len(lines)


_validate = TypeAdapter(Item).validate_json
_dump = TypeAdapter(int).dump_json


def noop(item: Item) -> int:
    """Do nothing."""
    return item.id


def row(line: bytes | str, index: int) -> bytes:
    """Return the row of one item, as the bare loop writes it."""
    return b'{"index":%d,"key":"%d","output":%b}\n' % (index, index, _dump(noop(_validate(line))))


def rows(lines: Iterable[bytes], first: int) -> bytes:
    """Return the rows of some lines.

    Args:
        lines: In order.
        first: Index of the first one.
    """
    return b"".join([row(line, index) for index, line in enumerate(lines, first)])


def run_batch(batch: Batch) -> int:
    """Run one batch, and return the number of its items."""
    with open(batch.source, "rb") as file:  # noqa: PTH123 -- thousands of them
        file.seek(batch.begin)
        lines = file.read(batch.size).splitlines()
    part(batch.target, batch.first).write_bytes(rows(lines, batch.first))
    return len(lines)


def part(folder: str | Path, first: int) -> Path:
    """Return the file for the rows of a task, by the index of its first item."""
    return Path(folder) / f"part-{first:09}.jsonl"
