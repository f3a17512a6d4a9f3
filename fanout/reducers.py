"""Reducers that are ready-made: `reduce=fanout.reducers.Sum("usd")`.

Where a processor returns an object, `field` says which of its fields is meant; an output without it fails its item.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # of typing's own pydantic reads none before Python 3.12

from fanout.pages import Json
from fanout.reducing import reducer


class Ranked(TypedDict):
    """One of the outputs that `TopK` keeps.

    Attributes:
        index: Position of the item in the source.
        key: What a person would search for.
        value: What it was ranked by.
        output: What the processor returned.
    """

    index: int
    key: str
    value: int | float | str
    output: Json


class Bars(TypedDict):
    """What `Histogram` makes.

    Attributes:
        edges: As given.
        counts: How many values are below the first edge, from each edge to below the next, and from the last one on.
    """

    edges: list[float]
    counts: list[int]


class Parts(TypedDict):
    """A sum without any error: of whole numbers, and of floating-point numbers no two of which overlap."""

    whole: int
    parts: list[float]


@reducer(name="count")
@dataclass(frozen=True)
class Count:
    """How many outputs there are: the number of items that succeeded."""

    def zero(self) -> int:
        """See `fanout.Reducer`."""
        return 0

    def add(self, total: int, output: Json) -> int:
        """See `fanout.Reducer`."""
        return total + 1

    def merge(self, total: int, other: int) -> int:
        """See `fanout.Reducer`."""
        return total + other


@reducer(name="sum")
@dataclass(frozen=True)
class Sum:
    """The sum of outputs that are numbers.

    It is exact: whole numbers of any size, and floating-point numbers as if rounded once at the end. So it is the same
    to the last digit however the items were grouped.

    Attributes:
        field: Of outputs that are objects.
    """

    field: str | None = None

    def zero(self) -> Parts:
        """See `fanout.Reducer`."""
        return {"whole": 0, "parts": []}

    def add(self, total: Parts, output: Json) -> Parts:
        """See `fanout.Reducer`."""
        value = _number(_picked(output, self.field))
        if isinstance(value, int):
            total["whole"] += value
        else:
            _grow(total["parts"], value)
        return total

    def merge(self, total: Parts, other: Parts) -> Parts:
        """See `fanout.Reducer`."""
        total["whole"] += other["whole"]
        for part in other["parts"]:
            _grow(total["parts"], part)
        return total

    def finish(self, total: Parts) -> int | float:
        """See `fanout.Reducer`."""
        if not total["parts"]:
            return total["whole"]
        # In pieces that a float holds exactly: together they are rounded once.
        return math.fsum([*_floats(total["whole"]), *total["parts"]])


@reducer(name="counts")
@dataclass(frozen=True)
class Counts:
    """How often each value occurs: of outputs that are texts, numbers or truth values, or lists of such.

    An output that is an object of whole numbers, such as `{"the": 3, "end": 1}`, adds these. The value has one entry
    for each distinct value: see `max_reduced_bytes`.

    Attributes:
        field: Of outputs that are objects.
    """

    field: str | None = None

    def zero(self) -> dict[str, int]:
        """See `fanout.Reducer`."""
        return {}

    def add(self, total: dict[str, int], output: Json) -> dict[str, int]:
        """See `fanout.Reducer`."""
        found = _picked(output, self.field)
        if isinstance(found, dict):
            return self.merge(total, {name: _whole(number) for name, number in found.items()})
        for value in found if isinstance(found, list) else [found]:
            name = _name(value)
            total[name] = total.get(name, 0) + 1
        return total

    def merge(self, total: dict[str, int], other: dict[str, int]) -> dict[str, int]:
        """See `fanout.Reducer`."""
        for name, number in other.items():
            total[name] = total.get(name, 0) + number
        return total


@reducer(name="top_k")
@dataclass(frozen=True)
class TopK:
    """The largest outputs, each with its item; of equal ones those of the first items.

    Attributes:
        k: How many, 1 to 10,000.
        field: What to rank outputs by that are objects: a number or a text.
        smallest: Whether to keep the smallest ones instead.
    """

    k: Annotated[int, Field(ge=1, le=10_000)] = 10
    field: str | None = None
    smallest: bool = False

    def zero(self) -> list[Ranked]:
        """See `fanout.Reducer`."""
        return []

    def add(self, total: list[Ranked], output: Json, *, index: int, key: str) -> list[Ranked]:
        """See `fanout.Reducer`."""
        value = _picked(output, self.field)
        if not isinstance(value, str):
            value = _number(value)
        found: Ranked = {"index": index, "key": key, "value": value, "output": output}
        if len(total) == self.k and self._kept([total[-1], found])[0] is total[-1]:
            return total
        return self._kept([*total, found])

    def merge(self, total: list[Ranked], other: list[Ranked]) -> list[Ranked]:
        """See `fanout.Reducer`."""
        return self._kept([*total, *other])

    def _kept(self, found: list[Ranked]) -> list[Ranked]:
        found.sort(key=lambda one: one["index"])
        # Stable, also where it is reversed. Numbers and texts may meet only when batches are merged.
        found.sort(key=lambda one: (isinstance(one["value"], str), one["value"]), reverse=not self.smallest)
        return found[: self.k]


@reducer(name="histogram")
@dataclass(frozen=True)
class Histogram:
    """How many outputs that are numbers fall between edges.

    Attributes:
        edges: In increasing order; at most 1,000.
        field: Of outputs that are objects.
    """

    edges: list[float]
    field: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.edges) <= 1_000 or any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("edges are 1 to 1,000 numbers in increasing order")

    def zero(self) -> list[int]:
        """See `fanout.Reducer`."""
        return [0] * (len(self.edges) + 1)

    def add(self, total: list[int], output: Json) -> list[int]:
        """See `fanout.Reducer`."""
        total[bisect.bisect_right(self.edges, _number(_picked(output, self.field)))] += 1
        return total

    def merge(self, total: list[int], other: list[int]) -> list[int]:
        """See `fanout.Reducer`."""
        return [mine + theirs for mine, theirs in zip(total, other, strict=True)]

    def finish(self, total: list[int]) -> Bars:
        """See `fanout.Reducer`."""
        return {"edges": self.edges, "counts": total}


def _picked(output: Json, field: str | None) -> Json:
    if field is None:
        return output
    if not isinstance(output, dict) or field not in output:
        raise ValueError(f"the output has no field {field!r}")
    return output[field]


def _number(value: Json) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{str(value)[:80]!r} is no number")
    return value


def _whole(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{str(value)[:80]!r} is no whole number")
    return value


def _name(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{str(value)[:80]!r} is neither a text nor a number")


def _grow(parts: list[float], value: float) -> None:
    """Add a number to parts that do not overlap, without rounding: Shewchuk's algorithm, as in `math.fsum`."""
    at = 0
    for part in parts:
        large, small = (value, part) if abs(value) >= abs(part) else (part, value)
        value = large + small
        rest = small - (value - large)
        if rest:
            parts[at] = rest
            at += 1
    if math.isinf(value):
        raise OverflowError("the sum is larger than a floating-point number can be")
    parts[at:] = [value]


def _floats(whole: int) -> list[float]:
    """Return a whole number as floating-point numbers whose sum it is."""
    found = []
    while whole:
        found.append(float(whole))
        whole -= int(found[-1])
    return found
