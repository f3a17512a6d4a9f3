"""What a run published, read as plain files: no code of fanout between the disk and the count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

_INDEX = re.compile(rb'^\{"index":(\d+),', re.MULTILINE)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Outcomes:
    """How often the items of a run are in its output."""

    once: int
    lost: int
    duplicated: int
    failed: int


def outcomes(output: Path, items: int) -> Outcomes:
    """Count the rows of every item, results and failures together.

    Args:
        output: Folder of the run's output.
        items: Items of the run, numbered from 0.
    """
    seen = bytearray(items)
    failed = 0
    for kind in ("results", "failures"):
        for part in parts(output, kind):
            data = part.read_bytes()
            rows = _INDEX.findall(data)
            lines = data.count(b"\n")
            if len(rows) != lines:
                raise ValueError(f"{part} holds {lines} lines and {len(rows)} rows")
            failed += len(rows) if kind == "failures" else 0
            for row in rows:
                index = int(row)
                seen[index] = min(255, seen[index] + 1)
    lost = seen.count(0)
    once = seen.count(1)
    return Outcomes(once, lost, items - lost - once, failed)


def same_rows(output: Path, *bare: Path) -> bool:
    """Tell whether published results, in order, are byte for byte the rows that bare loops wrote."""
    return same_bytes(parts(output, "results"), list(bare))


def same_bytes(some: list[Path], others: list[Path]) -> bool:
    """Tell whether some files, one after the other, hold what some others do."""
    return all(a == b for a, b in zip_longest(_stream(some), _stream(others)))


def parts(output: Path, kind: str) -> list[Path]:
    """Return the published parts of one kind, in order."""
    return sorted((output / kind).glob("*.jsonl"))


def _stream(files: list[Path]) -> Iterator[bytes]:
    """Yield the concatenation of some files in pieces of one size."""
    rest = b""
    for file in files:
        with file.open("rb") as opened:
            while data := opened.read(_CHUNK):
                rest += data
                while len(rest) >= _CHUNK:
                    yield rest[:_CHUNK]
                    rest = rest[_CHUNK:]
    if rest:
        yield rest
