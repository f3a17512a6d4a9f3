"""Sources of items, run parameters and durations, as a person writes them on the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanout.errors import SourceError, UsageError

if TYPE_CHECKING:
    from fanout.readers.base import Reader

STDIN = "-"
_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_RANGE = re.compile(r"(?:(-?[\d_]+)\.\.)?(-?[\d_]+)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def check_file(source: str, kind: str) -> None:
    """Refuse a local file that is not there before anything is started for it."""
    if kind == "range" or source == STDIN or "://" in source or any(sign in source for sign in "*?["):
        return
    if not Path(source).exists():
        raise SourceError(f"there is no file {source!r} in {Path.cwd()}")


def guess_kind(source: str) -> str:
    """Return the kind of reader that a source asks for by how it is written.

    Raises:
        UsageError: It says nothing of the kind.
    """
    if source == STDIN:
        return "jsonl"
    if _RANGE.fullmatch(source):
        return "range"
    name = source.split("?", 1)[0].rstrip("/").lower() if "://" in source else source.lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    for suffix, kind in _SUFFIXES.items():
        if name.endswith(suffix):
            return kind
    raise UsageError(
        f"cannot tell what is in {source!r} by its name: say --reader csv or --reader jsonl "
        "(.csv, .tsv, .jsonl, .ndjson and ranges such as 1..1000 are known)"
    )


def range_of(text: str) -> tuple[int, int]:
    """Return the bounds of `1..1000` (both included), or of `1000` (from 0, that many), as a half-open range.

    Raises:
        UsageError: It is no range, or an empty one.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no range: write 1..1000 (both included) or 1000 (from 0 to 999)")
    start = int(match[1]) if match[1] else 0
    stop = int(match[2]) + 1 if match[1] else int(match[2])
    if stop <= start:
        raise UsageError(f"the range {text!r} holds no items")
    return start, stop


def make_reader(
    source: str,
    *,
    kind: str | None = None,
    key: str | None = None,
    columns: Sequence[str] = (),
    null_values: Sequence[str] | None = None,
    limit: int | None = None,
) -> Reader:
    """Make the reader for a source.

    Raises:
        UsageError: The kind is unknown, or a flag does not go with it.
    """
    kind = kind or guess_kind(source)
    if kind != "csv" and (columns or null_values):
        raise UsageError(f"--column and --null-value are for CSV, not for {kind}")
    reader: Reader = _reader_of(kind, source, key, columns, null_values)
    return reader if limit is None else reader.limit(limit)


def _reader_of(
    kind: str, source: str, key: str | None, columns: Sequence[str], null_values: Sequence[str] | None
) -> Reader:
    from fanout import readers

    match kind:
        case "range":
            if key:
                raise UsageError("--key names a field of an item: the numbers of a range have none")
            start, stop = range_of(source)
            return readers.Range(start, stop)
        case "jsonl" if source == STDIN:
            return readers.Items(read_json_lines(sys.stdin.buffer), key=key)
        case "jsonl":
            return readers.JsonLines(source, key=key)
        case "csv":
            if source == STDIN:
                raise UsageError("only JSON Lines can come from stdin: save the CSV as a file first")
            more: dict[str, Any] = {}
            if columns:
                more["columns"] = list(columns)
            if null_values is not None:
                more["null_values"] = list(null_values)
            if source.lower().endswith((".tsv", ".tsv.gz")):
                more["delimiter"] = "\t"
            return readers.Csv(source, key=key, **more)
        case _:
            raise UsageError(f"unknown reader {kind!r}; there are: csv, jsonl, range")


def read_json_lines(lines: Iterable[bytes]) -> Iterator[Any]:
    """Read JSON Lines that somebody pipes in; blank lines are skipped.

    Raises:
        UsageError: A line is not JSON.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError as error:
            raise UsageError(f"line {number} of stdin is not JSON: {error}") from None


def source_folder(source: str, kind: str) -> str | None:
    """Return the folder that workers on this machine must be allowed to read, for a local file."""
    if kind == "range" or source == STDIN or ("://" in source and not source.startswith("file://")):
        return None
    path = Path(source.removeprefix("file://"))
    # Up to the first part with a wildcard.
    parts = []
    for part in path.parts[:-1]:
        if any(sign in part for sign in "*?["):
            break
        parts.append(part)
    return str(Path(*parts).resolve()) if parts else str(Path.cwd())


def parse_params(pairs: Sequence[str], flag: str = "--param") -> dict[str, Any]:
    """Return the parameters of `name=value` pairs: JSON where a value is JSON, else text.

    Raises:
        UsageError: A pair has no name, or comes twice.
    """
    params: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"{flag} {pair!r}: write it as NAME=VALUE")
        if name in params:
            raise UsageError(f"{flag} {name!r} is given twice")
        try:
            params[name] = json.loads(text)
        except ValueError:
            params[name] = text
    return params


def parse_duration(text: str) -> float:
    """Return the seconds of `90`, `90s`, `1.5m`, `2h` or `1d`.

    Raises:
        UsageError: It is no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no duration: write seconds, or 500ms, 90s, 15m, 2h, 1d")
    return float(match[1]) * _UNITS[match[2] or "s"]
