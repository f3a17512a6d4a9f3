"""Where the records of CSV begin and end: exactly as Python's own `csv.reader` sees it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain

from fanout.errors import SourceError
from fanout.readers.index import Marks
from fanout.readers.scanner import Scanner

LARGEST_RECORD = 1024 * 1024 * 1024
"""Bytes of one record above which a file is not taken for CSV."""
WINDOW = 16 * 1024
"""Bytes after which the scan looks anew whether it needs a parser at all."""

PARSING = 8
"""How much longer a byte takes that is parsed, against one that is only looked at."""

_BLANK = re.compile(rb"\n\r?\n")


class Rows:
    """Parses the records in some bytes, one after the other.

    Args:
        data: Begins with a record.
        start: Offset of the first byte to look at.
        end: Offset behind the last one; behind a whole line, unless it is the end of the file.
        delimiter: Between the cells.

    Attributes:
        line: How many lines precede the record that came last.
        unfinished: Whether the bytes ended inside the record that came last: a quote is open.
    """

    def __init__(self, data: bytes, start: int, end: int, delimiter: str) -> None:
        self.line = 0
        self.unfinished = False
        self._data = data
        self._end = end
        # Line and offset where each window begins, and its lines.
        self._windows: list[tuple[int, int, list[str]]] = []
        self._window_lines = 0
        self._at = start
        self._reader = csv.reader(chain.from_iterable(self._feed()), delimiter=delimiter)

    def __iter__(self) -> Iterator[list[str] | csv.Error]:
        """Yield the cells of each record, none for a blank line; the error where a cell is too large."""
        reader = self._reader
        while True:
            self.line = reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield error
            else:
                yield row

    @property
    def lines(self) -> int:
        """Lines up to the end of the record that came last."""
        return self._reader.line_num

    def count(self, most: int, last: bool) -> tuple[int, int]:
        """Parse the first `WINDOW` bytes and what their last record needs beyond.

        Args:
            most: Items after which to stop.
            last: Whether the file ends with the bytes. If not, a record that they do not hold whole is left out.

        Returns:
            How many items and how many lines were found.
        """
        items = lines = 0
        reader = self._reader
        while True:
            try:
                for row in reader:
                    if self.unfinished and not last:
                        return items, lines
                    lines = reader.line_num
                    if row:
                        items += 1
                    if lines >= self._window_lines or items >= most:
                        return items, lines
                return items, lines
            except csv.Error:
                # The reader goes on behind the line in which it gave up.
                items += 1
                lines = reader.line_num
                if lines >= self._window_lines or items >= most:
                    return items, lines

    def offset(self, lines: int) -> int:
        """Return the offset behind so many lines."""
        first, _, window = self._windows[-1] if self._windows else (0, 0, [])
        if lines == first + len(window):
            return self._at
        for first, start, window in reversed(self._windows):
            if lines >= first:
                return start + sum(
                    len(line.encode("utf-8", "surrogateescape")) for line in window[: lines - first]
                )
        return self._at

    def text(self) -> str:
        """Return the line in which the record that came last begins."""
        first, _, window = next(one for one in reversed(self._windows) if one[0] <= self.line)
        return window[self.line - first]

    def _feed(self) -> Iterator[list[str]]:
        line = 0
        while self._at < self._end:
            cut = last_line_end(self._data, self._at, min(self._at + WINDOW, self._end))
            if cut == self._at:
                cut = next_line_end(self._data, self._at, self._end)
            # Bytes that are not UTF-8 become lone surrogates: the structure is seen all the same.
            text = self._data[self._at : cut].decode("utf-8", "surrogateescape")
            window = list(io.StringIO(text, newline=""))
            self._windows.append((line, self._at, window))
            self._window_lines = self._window_lines or len(window)
            self._at = cut
            line += len(window)
            yield window
        # The parser asks for more only at the end, or inside a quoted cell.
        self.unfinished = True


def last_line_end(data: bytes, start: int, end: int) -> int:
    r"""Return the last offset up to `end` behind a whole line; `start` where there is none.

    A `\r` before a `\n` ends nothing, nor does one at the very end of the data, which a `\n` may follow.
    """
    line_feed = data.rfind(b"\n", start, end) + 1
    carriage = data.rfind(b"\r", max(start, line_feed), end) + 1
    if carriage and (carriage == len(data) or data[carriage] == 0x0A):
        carriage = data.rfind(b"\r", max(start, line_feed), carriage - 1) + 1
    return max(start, line_feed, carriage)


def next_line_end(data: bytes, start: int, end: int) -> int:
    """Return the first offset behind a whole line; `end` where there is none."""
    line_feed = data.find(b"\n", start, end) + 1
    carriage = data.find(b"\r", start, line_feed or end) + 1
    if carriage and carriage < (line_feed or end) and data[carriage] != 0x0A:
        return carriage
    return line_feed or end


class RecordScanner(Scanner):
    """Counts records; a parser is put to work only where there are quotes."""

    def __init__(self, marks: Marks, stop: int, step: int, delimiter: str) -> None:
        super().__init__(marks, stop, step)
        self._delimiter = delimiter
        self._held: list[bytes] = []
        self._size = 0
        self._enough = 0

    def feed(self, data: bytes, last: bool) -> None:
        """Take the next bytes; `last` says that the file ends with them."""
        self._held.append(data)
        self._size += len(data)
        # A record longer than a chunk is looked at again once twice as much of it is there.
        if self._size < self._enough and not last:
            return
        whole = b"".join(self._held)
        done = self._consume(whole, last)
        rest = whole[done:]
        self._held, self._size = [rest], len(rest)
        self._enough = 0 if done else 2 * len(rest)
        if self._size > LARGEST_RECORD and not self.full:
            raise SourceError(f"the record of line {self.line:,} has no end within a gigabyte: is this CSV?")

    def _consume(self, data: bytes, last: bool) -> int:
        """Count the records that end in the data, and return where the first one begins that does not."""
        position = 0
        while position < len(data) and not self.full:
            cut = data.rfind(b"\n", position, position + WINDOW) + 1 or data.find(b"\n", position) + 1
            if cut and self._is_plain(data, position, cut):
                size = cut - position
                lines = data.count(b"\n", position, cut)
                items = lines - _blanks(data, position, cut)
                if self.item + items <= self.stop:
                    if size > self.step:
                        # A long line is kept apart, so that nobody else's read loads it.
                        self.mark()
                    self.advance(items, size, lines)
                    position = cut
                    continue
            size = self._parse(data, position, last)
            if size == 0:
                break
            position += size
        return position

    def _is_plain(self, data: bytes, start: int, end: int) -> bool:
        if data.find(b'"', start, end) >= 0:
            return False
        if data.find(b"\r", start, end) < 0:
            return True
        # Alone, it ends a line as well.
        return data.count(b"\r", start, end) == data.count(b"\r\n", start, end)

    def _parse(self, data: bytes, start: int, last: bool) -> int:
        """Parse a window and what its last record needs beyond, and return how many bytes that is."""
        end = len(data) if last else last_line_end(data, start, len(data))
        rows = Rows(data, start, end, self._delimiter)
        items, lines = rows.count(self.stop - self.item, last)
        size = rows.offset(lines) - start
        self.advance(items, size, lines)
        self.effort += PARSING * size
        return size


def _blanks(data: bytes, start: int, end: int) -> int:
    if data[start] not in b"\r\n" and _BLANK.search(data, start, end) is None:
        return 0
    return sum(1 for line in data[start : end - 1].split(b"\n") if line in (b"", b"\r"))
