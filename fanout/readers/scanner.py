"""What finds the items in the bytes of a text file, and the measures by which the file is cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Protocol

from fanout.readers.index import Marks
from fanout.storage.files import SourceFile

KIB = 1024
MIB = 1024 * KIB
THREAD_BYTES = 256 * KIB
"""Bytes from which work on them moves to a thread, so that the event loop stays free."""


@dataclass(frozen=True)
class Bounds:
    """How a source is cut; the defaults suit everything but tests.

    Attributes:
        step: Bytes between two marks, about. A batch reads up to two steps more than its items.
        chunk: Bytes that are read at once.
        page_bytes: Bytes after which a page ends, at the next line: a second or two of work. Bytes that take longer to
            scan count for more.
        page_files: Files after which a page ends.
    """

    step: int = 64 * KIB
    chunk: int = 8 * MIB
    page_bytes: int = 512 * MIB
    page_files: int = 4096


@dataclass(frozen=True)
class Beginning:
    """Where the items of a file begin, behind its byte order mark and header."""

    offset: int
    line: int
    header: list[str] = field(default_factory=list)


class Scanner(ABC):
    """Finds the boundaries of items in the bytes of one file, fed in order, and marks some of them.

    Args:
        marks: Holds the place where the bytes begin; grows.
        stop: Index of the item before which to stop.
        step: Bytes between two marks, about.

    Attributes:
        item: Items before the last boundary found, as an index into the whole source.
        offset: Byte offset of that boundary.
        line: Number of the line there, from 1.
        effort: Bytes whose scan would have taken the time that was spent beyond looking at each byte once. It follows
            from the content alone: the same scan ends its page at the same place.
    """

    def __init__(self, marks: Marks, stop: int, step: int) -> None:
        self.marks = marks
        self.stop = stop
        self.step = step
        self.item = marks.items[-1]
        self.offset = marks.offsets[-1]
        self.line = marks.lines[-1]
        self.effort = 0

    @property
    def full(self) -> bool:
        """Whether `stop` is reached."""
        return self.item >= self.stop

    @abstractmethod
    def feed(self, data: bytes, last: bool) -> None:
        """Take the next bytes; `last` says that the file ends with them."""

    def advance(self, items: int, size: int, lines: int) -> None:
        """Move the boundary, and mark it when it is far enough from the last mark."""
        self.item += items
        self.offset += size
        self.line += lines
        if self.offset - self.marks.offsets[-1] >= self.step:
            self.mark()

    def mark(self) -> None:
        """Mark the boundary, unless it is marked."""
        if self.marks.offsets[-1] != self.offset:
            self.marks.add(self.item, self.offset, self.line)


class Format(Protocol):
    """What the scan asks of a kind of text file."""

    bounds: Bounds
    patterns: list[str]

    def begin(self, head: bytes, file: SourceFile, whole: bool) -> Beginning | None:
        """Say where the items begin; None when more than `head` is needed, which `whole` excludes."""

    def scanner(self, marks: Marks, stop: int, header: list[str]) -> Scanner:
        """Return a scanner for one file."""
