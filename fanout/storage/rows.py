"""Rows as they lie in data objects: lines of JSON that begin with their item's index."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanout.errors import StoreError
from fanout.storage import commits, tiling
from fanout.storage.layout import Kind
from fanout.storage.records import Commit, DataObject
from fanout.storage.tiling import Range

_INDEX = re.compile(rb'\{"index":\s*(\d+)\b')


@dataclass(frozen=True)
class Piece:
    """Data objects whose items interleave, so that only together they are a run of rows in index order.

    Mostly one object: the batch that it comes from settled all its items at once. A batch with checkpoints wrote
    several, and one that handed items back shares a piece with the batches that settled those.

    Attributes:
        outcomes: Ranges of items settled by the commits behind it, in order.
        sources: The data objects.
    """

    outcomes: tuple[Range, ...]
    sources: tuple[DataObject, ...]

    @property
    def start(self) -> int:
        """First item."""
        return self.outcomes[0][0]

    @property
    def end(self) -> int:
        """One past the last item."""
        first, length = self.outcomes[-1]
        return first + length

    @property
    def rows(self) -> int:
        """How many rows."""
        return sum(source.rows for source in self.sources)

    @property
    def size(self) -> int:
        """How many bytes."""
        return sum(source.size for source in self.sources)


def pieces(found: Iterable[Commit], kind: Kind) -> list[Piece]:
    """Return the rows of some commits as pieces that follow each other in index order.

    Args:
        found: Commits, whose outcomes are disjoint.
        kind: Which rows.
    """
    alone = []
    for commit in found:
        written = commit.results if kind == "results" else commit.failures
        sources = tuple(data for data in written if data.rows)
        if sources:
            alone.append(Piece(tuple(commits.outcomes(commit)), sources))
    alone.sort(key=lambda piece: piece.start)
    clusters: list[list[Piece]] = []
    reach = -1
    for piece in alone:
        if piece.start >= reach:
            clusters.append([])
        clusters[-1].append(piece)
        reach = max(reach, piece.end)
    return [_joined(cluster) for cluster in clusters]


def split(data: bytes, rows: int, name: str) -> list[bytes]:
    """Return the lines of an object, without their ends.

    Args:
        data: The whole object.
        rows: How many lines it must have.
        name: Of the object, for the error.

    Raises:
        StoreError: It has another number of lines.
    """
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(lines) != rows:
        raise StoreError(f"{name} has {len(lines):,} rows where {rows:,} are committed; it is damaged")
    return lines


def merge(objects: Sequence[list[bytes]], name: str) -> list[bytes]:
    """Return the lines of several objects in index order.

    Raises:
        StoreError: Two rows are of the same item.
    """
    pairs = sorted((index_of(line, name), line) for lines in objects for line in lines)
    for (before, _), (after, _) in itertools.pairwise(pairs):
        if before == after:
            raise StoreError(f"{name} would hold two rows of item {after}")
    return [line for _, line in pairs]


def index_of(line: bytes, name: str) -> int:
    """Return the index of a row's item.

    Args:
        line: The row; its beginning is enough.
        name: Of its object, for the error.

    Raises:
        StoreError: It is no row.
    """
    match = _INDEX.match(line)
    if match is None:
        raise StoreError(f"{name} holds a line that is not a row: it does not begin with its index")
    return int(match[1])


def _joined(cluster: Sequence[Piece]) -> Piece:
    if len(cluster) == 1:
        return cluster[0]
    settled = sorted(part for piece in cluster for part in piece.outcomes)
    tiling.disjoint(settled, "the commits of one batch")
    return Piece(tuple(settled), tuple(source for piece in cluster for source in piece.sources))
