"""Items from memory: inline where they are tiny, else staged to the store."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from types import AsyncGeneratorType, GeneratorType
from typing import Any, ClassVar, Self, TypeGuard

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from fanout.errors import UsageError
from fanout.pages import Json, Page, Scan
from fanout.readers.base import Reader, Records
from fanout.readers.jsonl import JsonLines
from fanout.readers.range import Numbered, plan
from fanout.storage import roots
from fanout.storage.files import Files
from fanout.storage.stores import Store

INLINE_BYTES = 48 * 1024
"""JSON text of all items up to which they travel with the run's input."""
STAGED_BYTES = 64 * 1024 * 1024
"""Size of a staged object, about; the memory that staging takes."""


class Items(Reader):
    """Items are the values of an iterable: anything that JSON, pydantic or a dataclass can express.

    Less than 48 KiB of JSON travels inside the run's own input; more is staged to the store when the run starts, in
    bounded memory.

    Args:
        iterable: Any iterable or async iterable. An iterator can be used for one run only.
        key: The field of an item that names it to people; None for its index.

    Raises:
        UsageError: What is given is one value rather than several, or a generator that has ended.
    """

    kind: ClassVar[str] = "items"
    inline = True

    def __init__(self, iterable: Iterable[object] | AsyncIterable[object], *, key: str | None = None) -> None:
        if isinstance(iterable, str | bytes | bytearray | Mapping | BaseModel):
            raise UsageError(
                f"Items takes several values, got one {type(iterable).__name__}; for a file there are JsonLines and Csv"
            )
        if not isinstance(iterable, Iterable | AsyncIterable):
            raise UsageError(f"Items takes an iterable, got {type(iterable).__name__}")
        if _has_ended(iterable):
            raise UsageError(
                f"the generator {iterable.__qualname__} has ended already: make a new one for each run, or give a list"
            )
        self._source = iterable
        self._used = False
        self._values: list[Json] | None = None
        self.key = key

    def args(self) -> dict[str, Json]:
        """Return the items themselves, once `prepare` has found them to be few."""
        if self._values is None:
            raise UsageError(
                "these items are not prepared: await `prepare` and use the reader that it returns"
            )
        return {"values": self._values}

    @classmethod
    def from_args(cls, args: dict[str, Json]) -> Self:
        """Make the reader from what `args` returned."""
        reader = cls(args["values"])
        reader._values = args["values"]
        return reader

    def listed(self) -> list[object]:
        """Return the items themselves, where they are at hand.

        Raises:
            UsageError: They come from an async iterable.
        """
        if self._values is not None:
            return list(self._values)
        if not isinstance(self._source, Iterable):
            raise UsageError("these items come from an async iterable: give a list")
        return list(self._source)

    async def prepare(self, store: Store, name: str) -> Reader:
        """Return a reader over the items inline, or over the objects to which they were staged.

        Raises:
            UsageError: An item cannot be written as JSON, or the iterator was used up by an earlier run.
        """
        if self._values is not None:
            return self
        if self._used and isinstance(self._source, Iterator | AsyncIterator):
            raise UsageError(
                "these items come from an iterator, which an earlier run has used up: give a list"
            )
        self._used = True
        lines: list[bytes] = []
        size = parts = count = 0
        async for value in _iterate(self._source):
            line = _to_line(value, count)
            lines.append(line)
            size += len(line)
            count += 1
            if size >= STAGED_BYTES:
                await store.create_own(_part(name, parts), lines)
                parts += 1
                lines, size = [], 0
        if parts == 0 and size < INLINE_BYTES:
            return self._with(_values=[from_json(line) for line in lines])
        if lines:
            await store.create_own(_part(name, parts), lines)
            parts += 1
        staged = StagedItems(roots.join(store.url, name), parts, key=self.key)
        return staged._with(_skip=self._skip, _limit=self._limit)

    async def scan(
        self, files: Files, store: Store, name: str, cursor: dict[str, Json] | None, limit: int | None
    ) -> Scan:
        """Return all items as one page that carries them."""
        values = self.args()["values"]
        found = plan(len(values), cursor, limit)
        start, count = found.page.start, found.page.count
        size = sum(len(to_json(value)) + 1 for value in values[start : start + count])
        return replace(found, page=replace(found.page, size=size, values=values[start : start + count]))

    async def read(self, files: Files, store: Store, page: Page, start: int, count: int) -> Records:
        """Return a slice of the values that the page carries."""
        at = start - page.start
        return Numbered((page.values or [])[at : at + count], start)


class StagedItems(JsonLines):
    """Items that were staged to the store as JSON Lines when the run started.

    Args:
        folder: URL of the folder with the objects.
        parts: How many there are.
        key: The field of an item that names it to people.
    """

    kind: ClassVar[str] = "staged"

    def __init__(self, folder: str, parts: int, *, key: str | None = None) -> None:
        super().__init__([roots.join(folder, _number(part)) for part in range(parts)], key=key)
        self._url = folder
        self._parts = parts

    def args(self) -> dict[str, Json]:
        """Return where the objects are."""
        return {"folder": self._url, "parts": self._parts}

    async def prepare(self, store: Store, name: str) -> Reader:
        """Return the reader itself: the objects were written a moment ago."""
        return self

    async def read(self, files: Files, store: Store, page: Page, start: int, count: int) -> Records:
        """Read items, which are called by their index rather than by file and line."""
        records = await super().read(files, store, page, start, count)
        return _StagedRecords(records, start)


class _StagedRecords(Records):
    def __init__(self, records: Records, start: int) -> None:
        self.values = records.values
        self.json = records.json
        self._start = start

    def source(self, position: int) -> str:
        return f"item {self._start + position}"


def _number(part: int) -> str:
    return f"{part:06}.jsonl"


def _part(name: str, part: int) -> str:
    return f"{name}/{_number(part)}"


def _to_line(value: object, index: int) -> bytes:
    try:
        return to_json(value) + b"\n"
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"item {index:,} cannot be written as JSON: it is a {type(value).__name__} ({reason})"
        ) from None


def _has_ended(iterable: object) -> TypeGuard[GeneratorType[Any, Any, Any] | AsyncGeneratorType[Any, Any]]:
    # Of other iterators nobody can tell.
    if isinstance(iterable, GeneratorType):
        return iterable.gi_frame is None
    return isinstance(iterable, AsyncGeneratorType) and iterable.ag_frame is None


async def _iterate(source: Iterable[object] | AsyncIterable[object]) -> AsyncIterator[object]:
    if isinstance(source, AsyncIterable):
        async for value in source:
            yield value
    else:
        for value in source:
            yield value
