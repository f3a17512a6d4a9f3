"""CSV: one record per item, each file with its own header."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import ClassVar

from fanout.errors import SourceError, UsageError
from fanout.pages import Json
from fanout.readers.base import Unreadable
from fanout.readers.csvscan import RecordScanner, Rows, last_line_end
from fanout.readers.index import Marks, Span
from fanout.readers.scanner import Beginning, Scanner
from fanout.readers.text import Parsed, PathLike, TextReader, excerpt, is_utf8, too_large
from fanout.storage import roots
from fanout.storage.files import SourceFile

Row = dict[str, str | None]
Make = Callable[[list[list[str]]], list[Row]]

MOST_BYTES = 4
"""Bytes that one character takes in UTF-8, at most."""


class Csv(TextReader):
    """Items are the records of CSV files: a dict of text per record, by the names in the header.

    Records are found and split exactly as Python's `csv.reader` does it, so quoted cells may hold delimiters, quotes
    and line breaks; blank lines are skipped. What is in a cell is what an item gets: nothing is taken for a number, and
    nothing for a missing value unless `null_values` says so. A record with another number of cells than the header, one
    that is not UTF-8, one whose quote is never closed and one with a cell above `csv.field_size_limit()` (131,072
    characters unless the program changes it) becomes a failure of its own.

    Args:
        path: A path or URL, or a glob (`*`, `?`, `[…]` inside a name, `**` for any number of folders), or several of
            them. The files of a glob are taken by name.
        key: The column that names an item to people; None for its index.
        columns: The columns to keep, in this order; None for all. With `header=False` the names of all columns.
        null_values: Texts of cells that become None, such as `("", "NA")`.
        delimiter: The character between cells.
        header: Whether each file begins with a row of names.

    Raises:
        UsageError: The arguments do not fit together.
    """

    kind: ClassVar[str] = "csv"
    json: ClassVar[bool] = False

    def __init__(
        self,
        path: PathLike | Sequence[PathLike],
        *,
        key: str | None = None,
        columns: Sequence[str] | None = None,
        null_values: Sequence[str] = (),
        delimiter: str = ",",
        header: bool = True,
    ) -> None:
        super().__init__(path, key=key)
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise UsageError(f"delimiter must be one character, not a quote or line break; got {delimiter!r}")
        if isinstance(columns, str) or isinstance(null_values, str):
            raise UsageError("columns and null_values take a list of texts, not one text")
        if columns is None and not header:
            raise UsageError("header=False needs columns= with the names of all columns")
        if columns is not None:
            if twice := [name for name, times in Counter(columns).items() if times > 1]:
                raise UsageError(f"columns names {_names(twice)} twice")
            if key is not None and key not in columns:
                raise UsageError(f"key {key!r} is not among the columns to keep: {_names(columns)}")
        self._columns = None if columns is None else list(columns)
        self._nulls = list(null_values)
        self._delimiter = delimiter
        self._header = header

    def args(self) -> dict[str, Json]:
        """Return the arguments, with the paths as URLs."""
        return {
            **super().args(),
            "columns": self._columns,
            "null_values": self._nulls,
            "delimiter": self._delimiter,
            "header": self._header,
        }

    def settings(self) -> dict[str, Json]:
        """Return the limit of a cell, on which it depends where a record ends whose quote is never closed."""
        return {"field_size_limit": csv.field_size_limit()}

    def check_settings(self, planned: dict[str, Json]) -> None:
        """Refuse to read with another limit of a cell than the one of the scan."""
        if planned != self.settings():
            raise SourceError(
                f"csv.field_size_limit() is {csv.field_size_limit():,} in this worker and was "
                f"{planned.get('field_size_limit', 0):,} where the run was planned; set it alike in all workers"
            )

    # ------------------------------------------------------------------------------------ for the scan

    def begin(self, head: bytes, file: SourceFile, whole: bool) -> Beginning | None:
        """Read the header, and check it."""
        begun = super().begin(head, file, whole)
        if begun is None:
            return None
        if not self._header:
            return Beginning(begun.offset, 1, list(self._columns or ()))
        end = len(head) if whole else last_line_end(head, begun.offset, len(head))
        rows = Rows(head, begun.offset, end, self._delimiter)
        names = next((row for row in rows if row), None)
        shown = roots.display(file.url)
        if isinstance(names, csv.Error):
            raise SourceError(f"the header of {shown} cannot be read: {names}")
        if names is None or rows.unfinished:
            if not whole:
                return None
            if names is None:
                raise SourceError(f"{shown} is empty: no header row")
            raise SourceError(f"the header of {shown} opens a quote that is never closed")
        self._check_header(names, shown)
        return Beginning(rows.offset(rows.lines), 1 + rows.lines, names)

    def _check_header(self, names: list[str], shown: str) -> None:
        if not all(_is_text(name) for name in names):
            raise SourceError(f"the header of {shown} is not valid UTF-8")
        if unnamed := [str(number) for number, name in enumerate(names, 1) if not name.strip()]:
            raise SourceError(f"the header of {shown} has no name for column {', '.join(unnamed)}")
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise SourceError(f"the header of {shown} has {_names(twice)} more than once")
        wanted = [*(self._columns or ()), *([self.key] if self.key is not None else ())]
        if missing := [name for name in dict.fromkeys(wanted) if name not in names]:
            raise SourceError(f"{shown} has no column {_names(missing)}; there are {_names(names)}")

    def scanner(self, marks: Marks, stop: int, header: list[str]) -> Scanner:
        """Return a scanner for one file."""
        return RecordScanner(marks, stop, self.bounds.step, self._delimiter)

    # ------------------------------------------------------------------------------------ for the read

    def parse(self, data: bytes, span: Span) -> Parsed:
        """Parse the records of a span."""
        width = len(span.entry.header)
        make = self._maker(span.entry.header)
        valid = is_utf8(data)
        # An open quote shows only in how the parser meets the end of the file.
        if valid and (span.end < span.entry.file.size or b'"' not in data):
            simple = self._parse_simple(data, width, make)
            if simple is not None:
                return Parsed(simple, range(span.line, span.line + len(simple)))
        values: list[Row | Unreadable] = []
        lines: list[int] = []
        rows = Rows(data, 0, len(data), self._delimiter)
        for row in rows:
            if not row:
                continue
            lines.append(span.line + rows.line)
            if isinstance(row, csv.Error):
                values.append(self._too_large_cell(rows))
            elif len(row) != width or rows.unfinished or not (valid or all(map(_is_text, row))):
                values.append(self._unreadable(row, width, rows))
            elif len(data) > self.largest and (size := _bytes(row)) > self.largest:
                values.append(too_large(size, self.largest, rows.text()))
            else:
                values += make([row])
        return Parsed(values, lines)

    def _parse_simple(self, data: bytes, width: int, make: Make) -> list[Row] | None:
        """Return the items, where each record is one line with all its cells; None where that is not so."""
        text = data.decode()
        lines = text.removesuffix("\n").split("\n")
        limit = csv.field_size_limit()
        longest = max(map(len, lines))
        if MOST_BYTES * longest > self.largest:
            return None
        if '"' not in text and "\r" not in text and "" not in lines and longest <= limit:
            rows = (line.split(self._delimiter) for line in lines)
            return _in_slices(rows, width, make)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
        try:
            values = _in_slices(reader, width, make)
        except csv.Error:
            return None
        return values if values is not None and reader.line_num == len(values) else None

    def _maker(self, header: list[str]) -> Make:
        """Return what makes items of records that have the right width."""
        nulls = frozenset(self._nulls)
        if self._columns is None or self._columns == header:
            if not nulls:
                return lambda rows: [dict(zip(header, row)) for row in rows]  # noqa: B905 - the width is checked
            return lambda rows: [
                {name: None if cell in nulls else cell for name, cell in zip(header, row, strict=True)}
                for row in rows
            ]
        kept = [(name, header.index(name)) for name in self._columns]
        if not nulls:
            return lambda rows: [{name: row[at] for name, at in kept} for row in rows]
        return lambda rows: [
            {name: None if row[at] in nulls else row[at] for name, at in kept} for row in rows
        ]

    def _unreadable(self, row: list[str], width: int, rows: Rows) -> Unreadable:
        text = excerpt(_clean(self._delimiter.join(row)))
        if rows.unfinished:
            return Unreadable("a quote is opened here and never closed", "UnterminatedQuote", text)
        if not all(map(_is_text, row)):
            return Unreadable("not valid UTF-8", "InvalidUtf8", text)
        whose = "header has" if self._header else "columns are"
        fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
        return Unreadable(f"{fields}, the {whose} {width}", "WrongFieldCount", text)

    def _too_large_cell(self, rows: Rows) -> Unreadable:
        limit = csv.field_size_limit()
        reason = f"a cell of more than {limit:,} characters, or a quote that is never closed"
        return Unreadable(reason, "CellTooLarge", excerpt(_clean(rows.text())))


def _bytes(row: list[str]) -> int:
    return sum(len(cell.encode("utf-8", "surrogateescape")) for cell in row) + len(row) - 1


def _in_slices(rows: Iterator[list[str]], width: int, make: Make) -> list[Row] | None:
    # A few hundred rows at a time stay in the processor's cache, and out of the collector's sight.
    values: list[Row] = []
    while some := list(islice(rows, 256)):
        if set(map(len, some)) != {width}:
            return None
        values += make(some)
    return values


def _is_text(cell: str) -> bool:
    """Say whether a cell was valid UTF-8: what was not has become lone surrogates."""
    if cell.isascii():
        return True
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean(text: str) -> str:
    return text[:10_000].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _names(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
