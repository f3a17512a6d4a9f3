"""JSON Lines: one JSON value per line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from fanout.readers.base import Unreadable
from fanout.readers.index import Marks, Span
from fanout.readers.scanner import Scanner
from fanout.readers.text import Parsed, TextReader, excerpt, is_utf8

_BLANK = re.compile(rb"\n[ \t\r\x0b\x0c]*\n")
_SPACE = b" \t\r\n\x0b\x0c"


class JsonLines(TextReader):
    r"""Items are the lines of files, each line one JSON value.

    Lines of white space are skipped, and are no items. A byte order mark at the beginning of a file, `\r\n` at the
    ends of lines and a last line without an end are all right.

    Args:
        path: A path or URL, or a glob (`*`, `?`, `[…]` inside a name, `**` for any number of folders), or several of
            them. The files of a glob are taken by name; a file that two patterns match is taken twice.
        key: The field of an item that names it to people; None for its index.
    """

    kind: ClassVar[str] = "jsonl"
    json: ClassVar[bool] = True

    def scanner(self, marks: Marks, stop: int, header: list[str]) -> Scanner:
        """Return a scanner for one file."""
        return LineScanner(marks, stop, self.bounds.step)

    def parse(self, data: bytes, span: Span) -> Parsed:
        """Split a span into its lines; the JSON in them is validated with the items."""
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        values: list[bytes | Unreadable]
        numbers: Sequence[int]
        if data[:1] in _SPACE or _BLANK.search(data) or (lines and not lines[-1].strip()):
            numbered = [(n, line) for n, line in enumerate(lines, span.line) if line and not line.isspace()]
            numbers = [number for number, _ in numbered]
            values = [line for _, line in numbered]
        else:
            numbers = range(span.line, span.line + len(lines))
            values = [*lines]
        if not is_utf8(data):
            values = [_checked(line) for line in values if isinstance(line, bytes)]
        if b"\r" in data:
            values = [line.removesuffix(b"\r") if isinstance(line, bytes) else line for line in values]
        return Parsed(values, numbers)


def _checked(line: bytes) -> bytes | Unreadable:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        reason = f"not valid UTF-8 at byte {error.start:,} of the line"
        return Unreadable(reason, "InvalidUtf8", excerpt(line))
    return line


class LineScanner(Scanner):
    """Counts lines that are not blank, a block at a time, without holding on to any bytes."""

    # The line that the last chunk left unfinished.
    _open = 0
    _open_blank = True

    def feed(self, data: bytes, last: bool) -> None:
        """Take the next bytes; `last` says that the file ends with them."""
        position = self._close(data, last) if self._open else 0
        if position is None:
            return
        end = data.rfind(b"\n") + 1
        while position < end and not self.full:
            # A line longer than a step becomes a block of its own, so that nobody else's read loads it.
            cut = data.rfind(b"\n", position, position + self.step) + 1 or data.find(b"\n", position) + 1
            lines = data.count(b"\n", position, cut)
            items = lines - self._blanks(data, position, cut)
            if self.item + items > self.stop:
                self._line_by_line(data, position)
                return
            self.advance(items, cut - position, lines)
            self.mark()
            position = cut
        if self.full:
            return
        rest = data[position:]
        self._open, self._open_blank = len(rest), _is_blank(rest)
        if last and rest:
            self._close(b"", last)

    def _close(self, data: bytes, last: bool) -> int | None:
        """Go on with the open line, and return where it ends; None when it does not end here."""
        end = data.find(b"\n") + 1
        part = data[: end or len(data)]
        self._open += len(part)
        self._open_blank = self._open_blank and _is_blank(part)
        if not end and not last:
            return None
        size, self._open = self._open, 0
        self.mark()
        self.advance(not self._open_blank, size, 1)
        return len(part)

    def _blanks(self, data: bytes, start: int, end: int) -> int:
        # Nearly every block has no blank line, which one search shows.
        if data[start] not in _SPACE and _BLANK.search(data, start, end) is None:
            return 0
        lines = data[start : end - 1].split(b"\n")
        return sum(1 for line in lines if not line or line.isspace())

    def _line_by_line(self, data: bytes, position: int) -> None:
        while not self.full:
            cut = data.index(b"\n", position) + 1
            self.advance(not _is_blank(data[position:cut]), cut - position, 1)
            position = cut


def _is_blank(data: bytes) -> bool:
    return not data or data.isspace()
