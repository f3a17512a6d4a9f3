"""A range of integers: planned by arithmetic, read from nowhere."""

from __future__ import annotations

from typing import ClassVar, Self

from fanout.errors import UsageError
from fanout.pages import Json, Page, Scan
from fanout.readers.base import Reader, Records
from fanout.storage.files import Files
from fanout.storage.stores import Store

MOST = 10**12
"""Items of a range at most."""
_BOUND = 2**63


class Numbered(Records):
    """Items that stand nowhere but in the run: each is called by its index.

    Args:
        values: The items.
        start: Index of the first one.
    """

    json = False

    def __init__(self, values: range | list[Json], start: int) -> None:
        self.values = values
        self._start = start

    def source(self, position: int) -> str:
        """Return the item's index."""
        return f"item {self._start + position}"


class Range(Reader):
    """Items are integers, as in Python's `range`.

    Args:
        *bounds: `stop`, or `start, stop`, or `start, stop, step`.

    Raises:
        UsageError: The bounds are not integers, the step is 0, or there are more than 10**12 items.
    """

    kind: ClassVar[str] = "range"
    inline = True

    def __init__(self, *bounds: int) -> None:
        if not 1 <= len(bounds) <= 3:
            raise UsageError(
                f"Range takes stop, or start and stop, or start, stop and step; got {len(bounds)} values"
            )
        for bound in bounds:
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise UsageError(f"Range takes integers, got {bound!r}")
            if not -_BOUND <= bound < _BOUND:
                raise UsageError(f"Range takes integers of 64 bits, got {bound}")
        if len(bounds) == 3 and bounds[2] == 0:
            raise UsageError("the step of a Range cannot be 0")
        self._range = range(*bounds)
        # `len` of such a range may not fit a C integer.
        steps = (self._range.stop - self._range.start) / self._range.step
        if steps > MOST:
            raise UsageError(f"a Range has at most 10**12 items, this one about {steps:.1e}")

    def args(self) -> dict[str, Json]:
        """Return start, stop and step."""
        return {"start": self._range.start, "stop": self._range.stop, "step": self._range.step}

    @classmethod
    def from_args(cls, args: dict[str, Json]) -> Self:
        """Make the range from what `args` returned."""
        return cls(args["start"], args["stop"], args["step"])

    async def prepare(self, store: Store, name: str) -> Reader:
        """Return the range itself."""
        return self

    async def scan(
        self, files: Files, store: Store, name: str, cursor: dict[str, Json] | None, limit: int | None
    ) -> Scan:
        """Return all that is left as one page."""
        return plan(len(self._range), cursor, limit)

    async def read(self, files: Files, store: Store, page: Page, start: int, count: int) -> Records:
        """Return a slice of the range."""
        return Numbered(self._range[start : start + count], start)


def plan(total: int, cursor: dict[str, Json] | None, limit: int | None) -> Scan:
    """Return the next page of a source whose items are counted already."""
    start = 0 if cursor is None else int(cursor["item"])
    count = total - start if limit is None else min(limit, total - start)
    end = start + count
    return Scan(
        page=Page(start=start, count=count), cursor={"item": end} if end < total else None, total=total
    )
